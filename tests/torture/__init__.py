"""The kill harness: the shipped program against faulty vendors, killed again and again, judged by what they hold."""

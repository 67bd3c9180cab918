"""Secrets are found before they are stored; ordinary sentences are left alone. Every credential here is a fake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.screen import looks_secret

# Put together here, so that no scanner takes this file for a leak.
SECRETS = [
    "AKIA" + "Q3EGRPLUS2EXAMPL",
    "key is AKIA" + "Q3EGRPLUS2EXAMPL in eu-west-1",
    "xoxb-" + "123456789012-123456789012-" + "a" * 24,
    "ghp_" + "a1B2" * 9,
    "sk_live_" + "a1B2c3D4" * 3,
    "-----BEGIN RSA PRIVATE KEY-----",
    "see below\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n",
    "https://alice:hunter22@db.example.com/prod",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "a" * 43,
    "the password is hunter22",
    "Password: hunter22",
    "pwd=hunter22",
    "das Passwort ist geheim123",
    "api key: 0123456789abcdef",
    "api_key".replace("_", "-") + " = 0123456789abcdef",
    "my token is abcd-1234-efgh",
    "secret = swordfish",
    "card 4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "5500005555555559",
    "IBAN DE89 3704 0044 0532 0130 00",
    "GB82WEST12345698765432",
]

SENTENCES = [
    "Look at yesterday's error logs",
    "I need to rotate the password of the reporting user",
    "The token expired, so the nightly job failed",
    "Investigate why secrets are not mounted in staging",
    "Debug the API key rotation job",
    "Customer cannot reset their password since Monday",
    "Password reset e-mails are delayed",
    "The secret store is read-only today",
    "Deploy release 2.14.3 to production",
    "INC-4711: checkout is slow for customers in Germany",
    "OPS-77, see https://jira.example.com/browse/OPS-77",
    "https://example.pagerduty.com/incidents/Q2ABCDEF1234567",
    "https://github.com/example/payments/pull/1234",
    "https://github.com/example/payments/commit/9fceb02d0ae598e95dc970b74767f19372d61af8",
    "Roll back to commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "Request id 550e8400-e29b-41d4-a716-446655440000 fails",
    "Trace 4bf92f3577b34da6a3ce929d0e0e4736 shows a timeout",
    "Host ip-10-0-12-34.eu-west-1.compute.internal does not answer",
    "Block 203.0.113.7 at the edge, it scans us",
    "arn:aws:iam::123456789012:role/payments-reader",
    "Account 123456789012 shows a cost spike",
    "Ticket 20260302-0017 from the auditors",
    "Call the customer back at +49 30 1234567",
    "Order 1234567890123 was charged twice",
    "Between 2026-03-01 22:00 and 2026-03-02 04:00 UTC",
    "Timestamps 1772445600 to 1772449200 in the log",
    "Kubernetes namespace payments, pod api-7d4b9c6f5-x2k8p restarts",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "Image registry.example.com/payments:2026.03.02-1",
    "Run the migration 0042_add_index on the replica first",
    "Query: select count(*) from orders where state = 'open'",
    "Need to read s3://example-logs/2026/03/02/",
    "Bob asked me to compare the dashboards of both regions",
    "On call this week, need to look at alerts",
    "Cover for carol, who is on holiday",
    "Onboarding: need analytics to build the weekly report",
    "Quarterly access review, section 4.2",
    "Auditor asks for evidence of backup restores",
    "Fix the flaky pipeline before the release at 15:00",
    "Der Checkout ist seit heute Morgen langsam",
    "Je dois vérifier les journaux de paiement",
    "お客様の請求を確認するため",
    "Нужно посмотреть логи",
    "🔥 production is down, need to look now",
    "PLEASE, this is urgent!!!",
    "asdf",
    "because",
    "to test",
    "Verify that MFA tokens of new joiners work",
    "Check who changed the secret rotation schedule",
    "Compare version 10.4.1.2 with 10.4.1.3",
    "Serial 1234-5678-9012-3456 of the broken device",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_is_found_and_named_without_repeating_it(text: str) -> None:
    found = looks_secret(text)
    assert found is not None
    assert found.startswith("a")
    assert not any(len(word) > 9 and word in found for word in text.split())


@pytest.mark.parametrize("text", SENTENCES)
def test_an_ordinary_sentence_is_left_alone(text: str) -> None:
    assert looks_secret(text) is None


@pytest.mark.parametrize("secret", SECRETS[:6])
def test_a_secret_is_found_wherever_it_stands(secret: str) -> None:
    assert looks_secret(f"I need access.\n\nThis is how I log in today: {secret}\nThank you!")


@given(st.text(max_size=300))
def test_any_text_can_be_looked_at(text: str) -> None:
    assert looks_secret(text) is None or isinstance(looks_secret(text), str)

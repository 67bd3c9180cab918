"""The schema as it was first released. Written by `python -m bot.ledger.migrations --write-first`."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    statements = {"sqlite": SQLITE, "postgresql": POSTGRESQL}[op.get_bind().dialect.name]
    for statement in statements:
        op.get_bind().exec_driver_sql(statement)


# fmt: off
SQLITE = (
    """CREATE TABLE requests (
    number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "key" VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    round INTEGER NOT NULL,
    entitlement_id VARCHAR NOT NULL,
    entitlement TEXT NOT NULL,
    requester_id VARCHAR NOT NULL,
    requester TEXT NOT NULL,
    beneficiary_id VARCHAR NOT NULL,
    beneficiary TEXT NOT NULL,
    minutes INTEGER NOT NULL,
    department VARCHAR NOT NULL,
    justification TEXT NOT NULL,
    ticket TEXT NOT NULL,
    can_wait BOOLEAN NOT NULL,
    origin VARCHAR NOT NULL,
    created_at DATETIME NOT NULL,
    deadline DATETIME NOT NULL,
    planned_at DATETIME,
    "plan" TEXT,
    ruling TEXT,
    evidence TEXT,
    advice TEXT,
    outcome TEXT NOT NULL,
    closed_at DATETIME,
    extends_id VARCHAR NOT NULL,
    extends TEXT,
    UNIQUE ("key")
)""",
    """CREATE INDEX ix_requests_beneficiary_id ON requests (beneficiary_id)""",
    """CREATE INDEX ix_requests_entitlement_id ON requests (entitlement_id)""",
    """CREATE INDEX ix_requests_extends_id ON requests (extends_id)""",
    """CREATE INDEX ix_requests_requester_id ON requests (requester_id)""",
    """CREATE INDEX ix_requests_state ON requests (state)""",
    """CREATE TABLE decisions (
    request_id VARCHAR NOT NULL,
    round INTEGER NOT NULL,
    person_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    answer VARCHAR NOT NULL,
    place VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    minutes INTEGER,
    reason TEXT NOT NULL,
    receipt VARCHAR NOT NULL,
    at DATETIME NOT NULL,
    PRIMARY KEY (request_id, round, person_id)
)""",
    """CREATE TABLE questions (
    id INTEGER NOT NULL,
    request_id VARCHAR NOT NULL,
    asked_by VARCHAR NOT NULL,
    text TEXT NOT NULL,
    asked_at DATETIME NOT NULL,
    receipt VARCHAR NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (receipt)
)""",
    """CREATE INDEX ix_questions_request_id ON questions (request_id)""",
    """CREATE TABLE grants (
    request_id VARCHAR NOT NULL,
    target TEXT NOT NULL,
    held_before BOOLEAN NOT NULL,
    minutes INTEGER NOT NULL,
    started_at DATETIME NOT NULL,
    verified_at DATETIME,
    ends_at DATETIME,
    revoked_at DATETIME,
    overdue BOOLEAN NOT NULL,
    PRIMARY KEY (request_id)
)""",
    """CREATE INDEX ix_grants_overdue ON grants (overdue)""",
    """CREATE INDEX ix_grants_target ON grants (target)""",
    """CREATE TABLE targets (
    target TEXT NOT NULL,
    job INTEGER NOT NULL,
    PRIMARY KEY (target)
)""",
    """CREATE TABLE freezes (
    number INTEGER NOT NULL,
    why TEXT NOT NULL,
    "by" VARCHAR NOT NULL,
    at DATETIME NOT NULL,
    thawed_at DATETIME,
    thawed_by VARCHAR NOT NULL,
    PRIMARY KEY (number)
)""",
    """CREATE TABLE presence (
    role VARCHAR NOT NULL,
    seen_at DATETIME NOT NULL,
    PRIMARY KEY (role)
)""",
    """CREATE TABLE messages (
    subject VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    channel VARCHAR NOT NULL,
    ts VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    shown_at DATETIME NOT NULL,
    PRIMARY KEY (subject, kind)
)""",
    """CREATE INDEX messages_place ON messages (channel, ts)""",
    """CREATE TABLE incidents (
    request_id VARCHAR NOT NULL,
    incident_id VARCHAR NOT NULL,
    url VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    shown_at DATETIME NOT NULL,
    resolved_at DATETIME,
    PRIMARY KEY (request_id),
    UNIQUE (incident_id)
)""",
    """CREATE TABLE pages (
    request_id VARCHAR NOT NULL,
    policy VARCHAR NOT NULL,
    at DATETIME NOT NULL,
    listed_on VARCHAR NOT NULL,
    PRIMARY KEY (request_id)
)""",
    """CREATE INDEX ix_pages_at ON pages (at)""",
    """CREATE INDEX ix_pages_listed_on ON pages (listed_on)""",
    """CREATE TABLE codes (
    request_id VARCHAR NOT NULL,
    person_id VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    code VARCHAR NOT NULL,
    used_at DATETIME,
    PRIMARY KEY (request_id, person_id, digest)
)""",
    """CREATE TABLE people (
    id VARCHAR NOT NULL,
    email VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    slack_team VARCHAR,
    slack_user VARCHAR,
    pagerduty_user VARCHAR,
    decides BOOLEAN NOT NULL,
    linked_by VARCHAR NOT NULL,
    linked_at DATETIME NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (slack_team, slack_user),
    UNIQUE (pagerduty_user)
)""",
    """CREATE TABLE jobs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    subject VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    lane VARCHAR NOT NULL,
    due FLOAT NOT NULL,
    not_before FLOAT NOT NULL,
    wanted INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    leased_until FLOAT NOT NULL,
    payload JSON NOT NULL,
    trouble TEXT NOT NULL,
    UNIQUE (subject, kind)
)""",
    """CREATE INDEX jobs_due ON jobs (role, due)""",
    """CREATE TABLE events (
    seq INTEGER NOT NULL,
    at VARCHAR NOT NULL,
    request_id VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    what VARCHAR NOT NULL,
    detail TEXT NOT NULL,
    prev VARCHAR NOT NULL,
    hash VARCHAR NOT NULL,
    PRIMARY KEY (seq)
)""",
    """CREATE INDEX ix_events_request_id ON events (request_id)""",
    """CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events is append-only'); END""",
    """CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events is append-only'); END""",
    """CREATE TRIGGER events_no_replace BEFORE INSERT ON events WHEN EXISTS (SELECT 1 FROM events WHERE seq = NEW.seq) BEGIN SELECT RAISE(ABORT, 'events is append-only'); END""",
    """CREATE TABLE texts (
    seq INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    person VARCHAR NOT NULL,
    salt VARCHAR NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (seq, name)
)""",
    """CREATE INDEX ix_texts_person ON texts (person)""",
    """CREATE TRIGGER texts_no_update BEFORE UPDATE ON texts BEGIN SELECT RAISE(ABORT, 'texts is append-only'); END""",
    """CREATE TRIGGER texts_no_replace BEFORE INSERT ON texts WHEN EXISTS (SELECT 1 FROM texts WHERE seq = NEW.seq AND name = NEW.name) BEGIN SELECT RAISE(ABORT, 'texts is append-only'); END""",
    """CREATE TABLE policies (
    digest VARCHAR NOT NULL,
    files JSON NOT NULL,
    first_seen DATETIME NOT NULL,
    PRIMARY KEY (digest)
)""",
    """CREATE TABLE inbox (
    source VARCHAR NOT NULL,
    delivery_id VARCHAR NOT NULL,
    at DATETIME NOT NULL,
    PRIMARY KEY (source, delivery_id)
)""",
    """CREATE TABLE seen (
    name VARCHAR NOT NULL,
    times INTEGER NOT NULL,
    at DATETIME NOT NULL,
    words VARCHAR NOT NULL,
    PRIMARY KEY (name)
)""",
    """CREATE TABLE policy_questions (
    id VARCHAR NOT NULL,
    "where" VARCHAR NOT NULL,
    team VARCHAR NOT NULL,
    user VARCHAR NOT NULL,
    channel VARCHAR NOT NULL,
    thread VARCHAR NOT NULL,
    text TEXT NOT NULL,
    asked_at DATETIME NOT NULL,
    answer_ts VARCHAR NOT NULL,
    answered_at DATETIME,
    person VARCHAR NOT NULL,
    PRIMARY KEY (id)
)""",
    """CREATE INDEX ix_policy_questions_asked_at ON policy_questions (asked_at)""",
    """CREATE INDEX ix_policy_questions_person ON policy_questions (person)""",
    """CREATE INDEX ix_policy_questions_user ON policy_questions (user)""",
    """CREATE INDEX policy_questions_thread ON policy_questions (channel, thread)""",
    """CREATE TABLE ratings (
    question_id VARCHAR NOT NULL,
    user VARCHAR NOT NULL,
    helpful BOOLEAN NOT NULL,
    at DATETIME NOT NULL,
    PRIMARY KEY (question_id, user)
)""",
    """CREATE TABLE stamp (
    name VARCHAR NOT NULL,
    value VARCHAR NOT NULL,
    PRIMARY KEY (name)
)""",
)

POSTGRESQL = (
    """CREATE TABLE requests (
    number SERIAL NOT NULL,
    key VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    round INTEGER NOT NULL,
    entitlement_id VARCHAR NOT NULL,
    entitlement TEXT NOT NULL,
    requester_id VARCHAR NOT NULL,
    requester TEXT NOT NULL,
    beneficiary_id VARCHAR NOT NULL,
    beneficiary TEXT NOT NULL,
    minutes INTEGER NOT NULL,
    department VARCHAR NOT NULL,
    justification TEXT NOT NULL,
    ticket TEXT NOT NULL,
    can_wait BOOLEAN NOT NULL,
    origin VARCHAR NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    deadline TIMESTAMP WITH TIME ZONE NOT NULL,
    planned_at TIMESTAMP WITH TIME ZONE,
    plan TEXT,
    ruling TEXT,
    evidence TEXT,
    advice TEXT,
    outcome TEXT NOT NULL,
    closed_at TIMESTAMP WITH TIME ZONE,
    extends_id VARCHAR NOT NULL,
    extends TEXT,
    PRIMARY KEY (number),
    UNIQUE (key)
)""",
    """CREATE INDEX ix_requests_beneficiary_id ON requests (beneficiary_id)""",
    """CREATE INDEX ix_requests_entitlement_id ON requests (entitlement_id)""",
    """CREATE INDEX ix_requests_extends_id ON requests (extends_id)""",
    """CREATE INDEX ix_requests_requester_id ON requests (requester_id)""",
    """CREATE INDEX ix_requests_state ON requests (state)""",
    """CREATE TABLE decisions (
    request_id VARCHAR NOT NULL,
    round INTEGER NOT NULL,
    person_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    answer VARCHAR NOT NULL,
    place VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    minutes INTEGER,
    reason TEXT NOT NULL,
    receipt VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (request_id, round, person_id)
)""",
    """CREATE TABLE questions (
    id SERIAL NOT NULL,
    request_id VARCHAR NOT NULL,
    asked_by VARCHAR NOT NULL,
    text TEXT NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    receipt VARCHAR NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (receipt)
)""",
    """CREATE INDEX ix_questions_request_id ON questions (request_id)""",
    """CREATE TABLE grants (
    request_id VARCHAR NOT NULL,
    target TEXT NOT NULL,
    held_before BOOLEAN NOT NULL,
    minutes INTEGER NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    verified_at TIMESTAMP WITH TIME ZONE,
    ends_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    overdue BOOLEAN NOT NULL,
    PRIMARY KEY (request_id)
)""",
    """CREATE INDEX ix_grants_overdue ON grants (overdue)""",
    """CREATE INDEX ix_grants_target ON grants (target)""",
    """CREATE TABLE targets (
    target TEXT NOT NULL,
    job INTEGER NOT NULL,
    PRIMARY KEY (target)
)""",
    """CREATE TABLE freezes (
    number SERIAL NOT NULL,
    why TEXT NOT NULL,
    by VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    thawed_at TIMESTAMP WITH TIME ZONE,
    thawed_by VARCHAR NOT NULL,
    PRIMARY KEY (number)
)""",
    """CREATE TABLE presence (
    role VARCHAR NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (role)
)""",
    """CREATE TABLE messages (
    subject VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    channel VARCHAR NOT NULL,
    ts VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    shown_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (subject, kind)
)""",
    """CREATE INDEX messages_place ON messages (channel, ts)""",
    """CREATE TABLE incidents (
    request_id VARCHAR NOT NULL,
    incident_id VARCHAR NOT NULL,
    url VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    shown_at TIMESTAMP WITH TIME ZONE NOT NULL,
    resolved_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (request_id),
    UNIQUE (incident_id)
)""",
    """CREATE TABLE pages (
    request_id VARCHAR NOT NULL,
    policy VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    listed_on VARCHAR NOT NULL,
    PRIMARY KEY (request_id)
)""",
    """CREATE INDEX ix_pages_at ON pages (at)""",
    """CREATE INDEX ix_pages_listed_on ON pages (listed_on)""",
    """CREATE TABLE codes (
    request_id VARCHAR NOT NULL,
    person_id VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    code VARCHAR NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (request_id, person_id, digest)
)""",
    """CREATE TABLE people (
    id VARCHAR NOT NULL,
    email VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    slack_team VARCHAR,
    slack_user VARCHAR,
    pagerduty_user VARCHAR,
    decides BOOLEAN NOT NULL,
    linked_by VARCHAR NOT NULL,
    linked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (slack_team, slack_user),
    UNIQUE (pagerduty_user)
)""",
    """CREATE TABLE jobs (
    id SERIAL NOT NULL,
    subject VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    lane VARCHAR NOT NULL,
    due FLOAT NOT NULL,
    not_before FLOAT NOT NULL,
    wanted INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    leased_until FLOAT NOT NULL,
    payload JSON NOT NULL,
    trouble TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (subject, kind)
)""",
    """CREATE INDEX jobs_due ON jobs (role, due)""",
    """CREATE TABLE events (
    seq BIGINT NOT NULL,
    at VARCHAR NOT NULL,
    request_id VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    what VARCHAR NOT NULL,
    detail TEXT NOT NULL,
    prev VARCHAR NOT NULL,
    hash VARCHAR NOT NULL,
    PRIMARY KEY (seq)
)""",
    """CREATE INDEX ix_events_request_id ON events (request_id)""",
    """CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$""",
    """CREATE TRIGGER events_no_update BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
    """CREATE TRIGGER events_no_delete BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
    """CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    """CREATE TABLE texts (
    seq BIGINT NOT NULL,
    name VARCHAR NOT NULL,
    person VARCHAR NOT NULL,
    salt VARCHAR NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (seq, name)
)""",
    """CREATE INDEX ix_texts_person ON texts (person)""",
    """CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$""",
    """CREATE TRIGGER texts_no_update BEFORE UPDATE ON texts FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
    """CREATE TRIGGER texts_no_truncate BEFORE TRUNCATE ON texts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    """CREATE TABLE policies (
    digest VARCHAR NOT NULL,
    files JSON NOT NULL,
    first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (digest)
)""",
    """CREATE TABLE inbox (
    source VARCHAR NOT NULL,
    delivery_id VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (source, delivery_id)
)""",
    """CREATE TABLE seen (
    name VARCHAR NOT NULL,
    times INTEGER NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    words VARCHAR NOT NULL,
    PRIMARY KEY (name)
)""",
    """CREATE TABLE policy_questions (
    id VARCHAR NOT NULL,
    "where" VARCHAR NOT NULL,
    team VARCHAR NOT NULL,
    "user" VARCHAR NOT NULL,
    channel VARCHAR NOT NULL,
    thread VARCHAR NOT NULL,
    text TEXT NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    answer_ts VARCHAR NOT NULL,
    answered_at TIMESTAMP WITH TIME ZONE,
    person VARCHAR NOT NULL,
    PRIMARY KEY (id)
)""",
    """CREATE INDEX ix_policy_questions_asked_at ON policy_questions (asked_at)""",
    """CREATE INDEX ix_policy_questions_person ON policy_questions (person)""",
    """CREATE INDEX ix_policy_questions_user ON policy_questions ("user")""",
    """CREATE INDEX policy_questions_thread ON policy_questions (channel, thread)""",
    """CREATE TABLE ratings (
    question_id VARCHAR NOT NULL,
    "user" VARCHAR NOT NULL,
    helpful BOOLEAN NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (question_id, "user")
)""",
    """CREATE TABLE stamp (
    name VARCHAR NOT NULL,
    value VARCHAR NOT NULL,
    PRIMARY KEY (name)
)""",
)

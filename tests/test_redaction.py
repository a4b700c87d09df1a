"""Secrets are removed from texts, in whatever spelling; other texts stay as they are."""

from __future__ import annotations

import io
import json

import pytest

from mlops.errors import BadSetting, UserError
from mlops.redaction import HIDDEN, RedactedStream, keep_secret, redact, redact_recorded, redact_values


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("http://ann:pw@host/x", "http://***@host/x"),
        ("http://ann:p@s/s?x#y@host/x", "http://***@host/x"),
        ("/data/https:/ann:pw@host/data.zip", "/data/https:/***@host/data.zip"),
        ("git+https://token@host/a.git@v1", "git+https://***@host/a.git@v1"),
        ("host=db password='a b' user=ann", "host=db password=*** user=ann"),
        ("https://h/a?page=1&sig=0%3D&x=2", "https://h/a?page=1&sig=***&x=2"),
        (r"https://h/a?page=1\u0026X-Amz-Signature=0a", r"https://h/a?page=1\u0026X-Amz-Signature=***"),
        ("next=%3Fpassword%3Dabc", "next=%3Fpassword%3D***"),
        ("'Authorization': 'Basic YTpi'", "'Authorization': 'Basic ***'"),
    ],
)
def test_a_secret_is_recognised_by_its_place(text: str, public: str) -> None:
    assert redact(text) == public
    assert redact(public) == public


@pytest.mark.parametrize(
    "text",
    [
        "models:/cells@production",
        "http://host:5000/models/cells@production",
        "http://[::1]:5000/x@y",
        "sqlite:////home/ann@work/mlflow.db",
        "postgresql://host/db?sslmode=require",
        "set MLFLOW_TRACKING_URI=http://USER:PASSWORD@host",
        "s3://bucket/data@v2/train.csv",
        "val/mAP50=0.5, tokens=3, mail ann@example.org",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert redact(text) == text


def test_a_kept_secret_is_removed_in_each_spelling() -> None:
    secret = 'k&pt "s/cret" \\ß'
    keep_secret(secret, "ann")
    import base64
    import html
    from urllib.parse import quote, quote_plus

    spellings = [
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote(secret, safe="").lower(),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        html.escape(secret),
        repr(secret)[1:-1],
        base64.b64encode(f"ann:{secret}".encode()).decode(),
    ]
    for spelled in spellings:
        assert redact(f"a {spelled} b") == f"a {HIDDEN} b"


def test_variables_with_the_name_of_a_secret_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD", "HF_TOKEN")
    for number, name in enumerate(names):
        monkeypatch.setenv(name, f"variable-{number}-value")
    monkeypatch.setenv("MLOPS_USER", "someone-known")
    assert redact(" ".join(f"variable-{n}-value" for n in range(5))) == " ".join([HIDDEN] * 5)
    assert redact("someone-known") == "someone-known"


def test_a_short_secret_does_not_break_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "postgres")
    assert redact("postgresql://host/db, not postgres") == f"postgresql://host/db, not {HIDDEN}"
    monkeypatch.setenv("PGPASSWORD", "test")
    assert redact("test/macro_f1 is 0.9") == "test/macro_f1 is 0.9"


def test_data_keep_a_word_that_is_a_password_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "platelet")
    assert redact("KeyError: 'platelet'") == f"KeyError: '{HIDDEN}'"
    assert redact_recorded("val/F1/platelet") == "val/F1/platelet"
    assert redact_recorded("http://ann:platelet@host") == "http://***@host"
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "platelet-7")
    assert redact_recorded("platelet-7") == HIDDEN


def test_values_of_a_document_are_redacted_and_its_names_stay() -> None:
    assert redact_values({"token": ["http://a:b@c", 1, None]}) == {"token": ["http://***@c", 1, None]}


def test_our_errors_have_no_secrets() -> None:
    assert str(UserError("http://ann:pw@host is down")) == "http://***@host is down"
    error = BadSetting("the command line", "--data", "https://ann:pw@host/x", "a folder")
    assert "pw@" not in str(error) + repr(error) + repr(vars(error))


def test_a_stream_is_redacted_whoever_writes_to_it() -> None:
    under = io.StringIO()
    print("http://ann:pw@host", file=RedactedStream(under, redact))  # type: ignore[arg-type]
    assert under.getvalue() == "http://***@host\n"

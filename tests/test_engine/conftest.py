import pytest


@pytest.fixture(autouse=True)
def no_look_over_the_data(monkeypatch):
    """Runs of these tests have generated data; the look has its own tests,
    and the tests of the configs and of the tools let it look."""
    monkeypatch.setenv('BISSL_LOOK', '0')

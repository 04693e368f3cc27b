"""`itb db restore` gives up the alerts that waited in the backup, and they can be listed."""

from __future__ import annotations

import sqlalchemy as sa
from local_bot import connected, deployment, telegram, wrong

AWAY = "http://127.0.0.1:9"


def test_what_waited_in_a_backup_is_listed_after_the_restore(tmp_path, postgres, postgres_url):
    wrong(postgres_url, "one", symbol="BTCUSDT")
    admin = sa.make_url(postgres.url("postgres")).update_query_dict({"user": "postgres"})
    itb = deployment(
        tmp_path,
        postgres_url,
        **telegram(AWAY),
        ITB_ADMIN_DATABASE_URL=admin.render_as_string(hide_password=False),
        ITB_LANG="pt",
    )
    file = str(tmp_path / "itb.dump")
    saved = itb("db", "backup", file)
    assert saved.code == 0, saved
    restored = itb("db", "restore", file, "--replace")
    assert restored.code == 0, restored
    (given_up,) = itb("alerts", "replay", "--json").json()
    assert (given_up["title"], given_up["level"]) == ("training failed", "error")
    assert "waited when the backup of" in given_up["why"]
    with connected(postgres_url) as connection:
        waits = "SELECT message ->> 'title' FROM alert_outbox WHERE dead_at IS NULL"
        assert list(connection.scalars(sa.text(waits))) == ["1 alerta anterior ao backup não foi enviado"]

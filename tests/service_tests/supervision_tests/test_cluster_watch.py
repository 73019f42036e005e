"""A cluster that is gone: who waits for it is ended, and who has noticed is not."""

from __future__ import annotations

import threading

from service.supervision.cluster_watch import cluster_watched


def test_who_waits_is_ended() -> None:
    is_there, has_given_up = threading.Event(), threading.Event()
    is_there.set()
    with cluster_watched(is_there.is_set, has_given_up.set, period_s=0.01, grace_s=0.01):
        assert not has_given_up.wait(0.1)
        is_there.clear()
        assert has_given_up.wait(60)


def test_who_has_noticed_is_not() -> None:
    asked, given_up = threading.Event(), []

    def is_gone() -> bool:
        asked.set()
        return False

    with cluster_watched(is_gone, lambda: given_up.append(1), period_s=0.01, grace_s=60):
        (thread,) = (thread for thread in threading.enumerate() if thread.name == "cluster-watch")
        assert asked.wait(60)
    thread.join(60)
    assert not thread.is_alive()
    assert not given_up

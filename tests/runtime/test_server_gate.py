"""What the gate remembers of clients: no more than it needs, and never twice."""

from __future__ import annotations

import pytest

pytest.importorskip("grpc", reason="needs splitc[serve]")

from splitc.runtime.server.connection import HEALTH_S, Connection
from splitc.runtime.server.gate import ConnectionGate, GateLimits
from splitc.runtime.server.metrics import Metrics
from splitc.runtime.server.pace import CALL, RESET


def gate(calls_a_second: float = 1e-6) -> ConnectionGate:
    return ConnectionGate(GateLimits(8, 4, 10.0, 600.0, calls_a_second), "nowhere", Metrics(), None)


def test_a_client_has_one_budget_whatever_it_comes_with() -> None:
    one = gate()
    assert one.budget("token 0") is one.budget("token 0")
    assert one.budget("token 0") is not one.budget("token 1")


def test_budgets_are_forgotten_once_nothing_is_owed_and_nobody_pays_with_them() -> None:
    one = gate()
    owing, full = one.budget("token 0"), one.budget("token 1")
    connection = Connection(one, "name", "10.0.0.1")
    one.arrived(connection)
    owing.spend(CALL)
    one._forget()
    assert one.budget("token 0") is owing
    assert one.budget("token 1") is not full
    assert one.budget("strangers at 10.0.0.1") is connection.budget
    owing.credit()
    one.left(connection)
    one._forget()
    assert one.budget("token 0") is not owing
    assert one.budget("strangers at 10.0.0.1") is not connection.budget


def test_a_client_with_many_connections_has_one_budget_while_any_is_there() -> None:
    """Else each connection that comes later would bring a new one."""
    one, budgets = gate(), set()
    for number in range(4):
        connection = Connection(one, f"name {number}", "10.0.0.1")
        one.arrived(connection)
        connection.call_began("token 0")
        connection.budget.credit(10 * RESET)
        one._forget()
        budgets.add(connection.budget)
    assert len(budgets) == 1


def test_calls_that_are_open_are_paid_for_once_when_their_client_hangs_up() -> None:
    one = gate()
    connection = Connection(one, "name", "10.0.0.1")
    one.arrived(connection)
    for _ in range(3):
        connection.call_began("token 0")
    before = connection.budget._refilled()
    connection.abort()
    connection.connection_lost(None)
    assert connection.budget._refilled() == pytest.approx(before - 3 * RESET)


def test_of_a_stranger_s_calls_only_answered_health_checks_are_not_paid_for() -> None:
    """One health check does not excuse the calls beside it."""
    one = gate()
    connection = Connection(one, "name", "10.0.0.1")
    one.arrived(connection)
    connection._meter.calls = 5
    connection.checked_health()
    connection.answered_health()
    connection.checked_health()
    before = connection.budget._refilled()
    connection.abort()
    assert connection.budget._refilled() == pytest.approx(before - 4 * RESET)


def test_a_health_check_in_time_lets_a_stranger_send_on() -> None:
    """Its bytes begin anew, also where it had none left."""
    one = gate()
    connection = Connection(one, "name", "10.0.0.1")
    connection.pause("bytes")
    connection.checked_health()
    assert connection._pauses == {"bytes"}
    connection.moved -= 2 * HEALTH_S
    connection.checked_health()
    assert not connection._pauses

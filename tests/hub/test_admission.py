import pytest

from trueup_hub.admission import PER_MINUTE, Admission
from trueup_hub.errors import Problem


def send(admission: Admission, host_no: int, times: int) -> None:
    for _ in range(times):
        with admission.admitted(host_no):
            pass


def test_a_host_that_sends_too_many_batches_is_told_to_wait_for_the_next_minute_and_no_other_is() -> None:
    now = 30.0
    admission = Admission(8, lambda: now)
    send(admission, 1, PER_MINUTE)
    with pytest.raises(Problem) as told:
        send(admission, 1, 1)
    assert (told.value.status, told.value.headers) == (429, {"Retry-After": "30"})
    send(admission, 2, 1)
    now = 60.0
    send(admission, 1, 1)

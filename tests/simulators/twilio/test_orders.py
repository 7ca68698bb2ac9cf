"""Parameters of the Calls resource, refused with Twilio's codes."""

import orjson
import pytest

from simulators.twilio.orders import ApiError, CallOrder, read_change, read_order

GOOD = {"To": "+15551230000", "From": "+15550009999", "Url": "https://agent.example.com/twilio/voice"}


def refusal(**changes: str) -> ApiError:
    with pytest.raises(ApiError) as refused:
        read_order(tuple((GOOD | changes).items()))
    return refused.value


def test_a_full_order_is_read() -> None:
    form = (
        *GOOD.items(),
        ("StatusCallback", "https://agent.example.com/twilio/status"),
        ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "answered"),
        ("Timeout", "20"),
        ("TimeLimit", "600"),
        ("MachineDetection", "Enable"),
        ("AsyncAmd", "true"),
        ("AsyncAmdStatusCallback", "https://agent.example.com/twilio/amd"),
    )

    assert read_order(form) == CallOrder(
        to="+15551230000",
        from_="+15550009999",
        url="https://agent.example.com/twilio/voice",
        status_callback="https://agent.example.com/twilio/status",
        status_events=frozenset({"ringing", "answered"}),
        timeout=20.0,
        time_limit=600.0,
        machine_detection="Enable",
        async_amd=True,
        async_amd_callback="https://agent.example.com/twilio/amd",
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"To": ""}, 21201),
        ({"From": ""}, 21213),
        ({"To": "5551230000"}, 21211),
        ({"To": "+15550009999"}, 21211),
        ({"From": "anonymous"}, 21212),
        ({"Url": ""}, 21205),
        ({"Url": "agent.example.com/voice"}, 21205),
        ({"Twiml": "<" + "x" * 4000}, 32018),
        *(({"Url": url}, 21205) for url in ("https://[::1/", "https://a:port/", "https://a:99999/", "https://a:0/")),
        ({"StatusCallback": "https://[/status"}, 21609),
        *(({"Timeout": text}, 21208) for text in ("soon", "0", "-1", "1.5", "²", "9" * 5000)),
        ({"StatusCallback": "https://my_host.example.com/"}, 21609),
        ({"MachineDetection": "Maybe"}, 21234),
        ({"MachineDetection": "Enable", "AsyncAmd": "true"}, 21262),
    ],
)
def test_a_bad_parameter_is_refused_with_twilios_code(changes: dict[str, str], code: int) -> None:
    assert refusal(**changes).code == code


def test_from_must_be_a_number_of_the_account() -> None:
    with pytest.raises(ApiError) as refused:
        read_order(tuple(GOOD.items()), frozenset({"+15550001111"}))

    assert refused.value.code == 21210


def test_several_events_in_one_value_are_no_event() -> None:
    order = read_order((*GOOD.items(), ("StatusCallbackEvent", "ringing answered")))

    assert order.status_events == frozenset()


def test_digits_to_send_disable_machine_detection() -> None:
    order = read_order(tuple((GOOD | {"SendDigits": "1", "MachineDetection": "Enable"}).items()))

    assert order.machine_detection == ""


def test_an_error_is_rendered_as_twilio_renders_it() -> None:
    response = ApiError(20404, "not found", 404).response()

    assert response.status == 404
    assert orjson.loads(response.body) == {
        "code": 20404,
        "message": "not found",
        "more_info": "https://www.twilio.com/docs/errors/20404",
        "status": 404,
    }


def test_a_change_of_status_is_completed_or_canceled() -> None:
    assert read_change((("Status", "completed"),)).status == "completed"
    with pytest.raises(ApiError):
        read_change((("Status", "busy"),))

"""How Korea's providers say no: with HTTP 200, an envelope of their own, and a code."""

from dataclasses import dataclass
from typing import Any

from schemas.errors import InvalidError

_DONE = frozenset({"", "0", "00", "000", "0000", "200", "INFO-000"})
_NOTHING = frozenset({"3", "03", "INFO-200"})
_TEMPORARY = frozenset({"1", "01", "2", "02", "4", "04", "5", "05", "21", "22", "99"})

_HINTS = {
    "01": "제공기관 오류 · an error of the provider: try again later",
    "02": "제공기관 데이터베이스 오류 · the provider's database fails: try again later",
    "04": "제공기관 연결 오류 · the provider's server fails: try again later",
    "05": "제공기관 응답 없음 · the provider's server does not answer in time: try again later",
    "10": "요청 변수 오류 · a parameter is wrong: see the provider's description",
    "11": "필수 요청 변수 없음 · a parameter that must be given is missing",
    "12": "없거나 폐기된 서비스 · there is no such service, or no longer",
    "20": "활용 승인 필요 · the key may not use this service: apply for it at the provider",
    "21": "일시 정지된 인증키 · the key is suspended for a while",
    "22": "일일 요청 한도 초과 · the day's requests are used up: ask less often, or for a higher limit",
    "30": "등록되지 않은 인증키 · the key is not registered: check it, and that it is not encoded twice",
    "31": "기한이 지난 인증키 · the key has expired: apply for a new one",
    "32": "등록되지 않은 IP · requests from this address are not allowed: register it at the provider",
    "-401": "유효하지 않은 인증키 · the key is not valid",
}


@dataclass
class RefusedError(InvalidError):
    """The provider answered, and refused. `temporary`: the same request may succeed later."""

    code: str = ""
    message: str = ""
    temporary: bool = False


def check(node: Any) -> bool:
    """Whether the answer says that there is nothing (`NODATA_ERROR`). Raises `RefusedError` where the provider refused.

    Known are the envelopes of data.go.kr (`response.header`, and `cmmMsgHeader` of its gateway), of odcloud.kr
    (`code`, `msg`) and of Seoul's portal (`RESULT`).
    """
    for header in _headers(node):
        if "returnReasonCode" in header or "returnAuthMsg" in header:
            messages = (header.get("errMsg"), header.get("returnAuthMsg"))
            raise _refused(_code(header.get("returnReasonCode")), " / ".join(str(text) for text in messages if text))
        for code, message in (("resultCode", "resultMsg"), ("CODE", "MESSAGE")):
            if code in header:
                said = _code(header[code])
                if said in _NOTHING:
                    return True
                if said not in _DONE:
                    raise _refused(said, str(header.get(message, "")))
    if isinstance(node, dict) and "msg" in node and "code" in node and not isinstance(node.get("data"), list):
        raise _refused(_code(node["code"]), str(node["msg"]))
    return False


def _headers(node: Any, depth: int = 3) -> list[dict[str, Any]]:
    """The dicts that may be a header: those above the records."""
    if not isinstance(node, dict):
        return []
    inner = [found for value in node.values() for found in _headers(value, depth - 1)] if depth else []
    is_header = any(name in node for name in ("returnReasonCode", "returnAuthMsg", "resultCode")) or {
        "CODE",
        "MESSAGE",
    } <= set(node)
    return [node, *inner] if is_header else inner


def _code(value: Any) -> str:
    return str(value).strip() if value is not None else ""


def _refused(code: str, message: str) -> RefusedError:
    hint = _HINTS.get(code) or _HINTS.get(code.zfill(2), "see the provider's description of its codes")
    reason = f"the provider refused: {code or 'no code'} {message} ({hint})"
    return RefusedError(reason, code=code, message=message, temporary=code in _TEMPORARY)

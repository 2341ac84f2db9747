"""One call under way, as metrics and the access log tell of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Call:
    """What is known of a call. It is filled in as the call goes on.

    Args:
      api: GRPC or REST.
      method: what metrics call the entry: `Predict`, or `predict` over REST.
      client: the client's address, then its token's name where it has one.
      request_id: the client's own, or one made by the server; "" where nobody asks for it.
      model: its name once it is known to be one; "" before.
      signature: the name that it resolved to; "" where there is none.
      version: the version that answers; 0 before.
      at_once: whether it is answered in a thread that others need; what would hold that up raises WouldWaitError.
      admitted: whether it has been let in.
      started_s: when it came, by `time.perf_counter`.
    """

    api: str = ""
    method: str = ""
    client: str = ""
    request_id: str = ""
    model: str = ""
    signature: str = ""
    version: int = 0
    at_once: bool = False
    admitted: bool = False
    started_s: float = field(default_factory=time.perf_counter)

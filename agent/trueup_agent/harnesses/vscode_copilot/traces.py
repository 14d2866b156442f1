"""Reads traces of Copilot in Visual Studio: batches of OTLP spans, line by line (formats/vscode-copilot.md)."""

from collections.abc import Mapping
from typing import Any

from trueup_agent.harnesses import genai, values
from trueup_agent.harnesses.base import CONTRADICTORY, MALFORMED, NO_IDENTITY, NO_TIME, count_unknown, skip
from trueup_agent.harnesses.json_text import decode
from trueup_agent.harnesses.lines import JsonLines
from trueup_agent.harnesses.vscode_copilot.usage import CALL, RUN, UNKNOWN_CALL, contradictory, event
from trueup_agent.records import MessageRecord, SessionRecord
from trueup_shared.keys import message_key, session_key


class TracesParser(JsonLines):
    """`base.LineParser`. A run of the agent counts where its calls are not told of: no sample tells what it used."""

    def decode(self, line: memoryview) -> Any:
        return decode(line)

    def record(self, record: Any, line: memoryview) -> None:
        if not isinstance(record, Mapping) or "resourceSpans" not in record:
            skip(self.parsed, MALFORMED)
            return
        for _, span in genai.spans_of_batch(record):
            self._span(span, genai.attributes_of(span.get("attributes")))

    def _span(self, span: Mapping[str, Any], attributes: genai.Attributes) -> None:
        operation = attributes.get(genai.OPERATION)
        if operation not in ("chat", "invoke_agent", "execute_tool"):
            count_unknown(self.parsed, operation)
            return
        trace, span_id = values.text(span.get("traceId")), values.text(span.get("spanId"))
        session_id = values.text(attributes.get(genai.CONVERSATION)) or trace
        started = genai.span_time(span, "startTime")
        at = genai.span_time(span, "endTime") or started
        if trace is None or span_id is None or session_id is None:
            skip(self.parsed, NO_IDENTITY)
            return
        key = session_key("vscode-copilot", session_id)
        self.parsed.sessions.append(
            SessionRecord(
                key=key,
                harness="vscode-copilot",
                session_id=session_id,
                started_at=started,
            )
        )
        model = values.text(attributes.get(genai.RESPONSE_MODEL)) or values.text(attributes.get(genai.REQUEST_MODEL))
        is_tool = operation == "execute_tool"
        event_key = None
        if not is_tool and at is None:
            skip(self.parsed, NO_TIME)
        elif not is_tool and at is not None:
            known = genai.usage(attributes).reported()
            rank = RUN if operation == "invoke_agent" else CALL if known else UNKNOWN_CALL
            record = event(
                *(session_id, (trace, span_id), {"span": genai.kept(attributes)}, rank),
                at=at,
                provider=values.text(attributes.get(genai.PROVIDER)),
                model=model,
                session_started=started or at,
            )
            if contradictory(record, attributes):
                skip(self.parsed, CONTRADICTORY)
            self.parsed.events.append(record)
            event_key = record.key
        tool = values.text(attributes.get("gen_ai.tool.name"), 128)
        self.parsed.messages.append(
            MessageRecord(
                key=message_key("vscode-copilot", trace, span_id),
                session_key=key,
                harness="vscode-copilot",
                at=at,
                role="tool" if is_tool else "assistant",
                kind="tool_result" if is_tool else "answer",
                model=None if is_tool else model,
                tool_names=[tool] if is_tool and tool else None,
                event_key=event_key,
                session_started=started or 0,
            )
        )

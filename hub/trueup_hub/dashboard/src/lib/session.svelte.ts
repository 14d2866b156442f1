import type { Hub } from "./hub.svelte";
import type { Values } from "./coerce";
import { Paged, type Question } from "./paged.svelte";
import { Panel } from "./panel.svelte";
import { addsUp } from "./session";
import type { Message, Messages, Session, SessionUsage } from "./types";

const PAGE = 500;
const MOST = 1000;
const PAGES_AT_ONCE = 5; // of messages: what is more waits until the reader asks for it

/** What the page of one session asks. Numbers are of its whole life, whatever range is selected. */
export class SessionPage {
  readonly session = new Panel<Session>();
  readonly usage = new Panel<SessionUsage>();
  readonly messages: Paged<Messages, Message>;

  constructor(
    readonly hub: Hub,
    readonly id: string,
  ) {
    this.messages = new Paged(hub, "sessions/{session_id}/messages", PAGE, MOST, (page) => page.messages, keyOf);
  }

  /** The hub has no such session: other errors may pass. */
  get missing(): boolean {
    return this.session.error?.status === 404;
  }

  async load(usage: boolean): Promise<void> {
    if (!usage) return;
    const counted = this.hub.selection.counted;
    const wanted: Values = counted === "once" ? {} : { counted: [counted] };
    await this.hub.ask(this.session, "sessions/{session_id}", wanted, this.id);
    if (this.missing) return;
    await Promise.all([
      this.hub.ask(this.usage, "sessions/{session_id}/usage", wanted, this.id),
      this.#loadMessages({ wanted, id: this.id }),
    ]);
  }

  /** All of them, up to a number that a page can draw; what a running session has new comes at the end. */
  async #loadMessages(question: Question): Promise<void> {
    const list = this.messages;
    if (!list.answers(question) || list.error) await list.open(question);
    else if (list.next === null) {
      await list.follow();
      // Earlier ones were restated, or came late
      if (this.session.data && !addsUp(list.items, this.session.data)) await list.reopen();
    } else return;
    for (let page = 1; page < PAGES_AT_ONCE && list.next !== null && !list.error; page++) await list.extend();
  }
}

/** The same message may come from several ledgers, where all copies count. */
export const keyOf = (message: Message): string =>
  [message.place.ledger_id, message.id ?? "", message.event_id ?? "", message.usage?.event_id ?? ""].join(" ");

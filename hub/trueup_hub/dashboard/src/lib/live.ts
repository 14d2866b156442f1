/** Live updates: one event stream while the page is seen, none while it is hidden, and the truth about which it is. */

export type LiveState = "connecting" | "live" | "reconnecting" | "paused";

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

export interface LiveOptions {
  url: string;
  onState: (state: LiveState) => void;
  onUpdate: (changed: string[]) => void; // what changed
}

/** Open the stream; returns what closes it. */
export function listen({ url, onState, onUpdate }: LiveOptions): () => void {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let retry = FIRST_RETRY_MS;

  const open = () => {
    clearTimeout(timer);
    source?.close();
    source = new EventSource(url);
    source.onopen = () => {
      retry = FIRST_RETRY_MS;
      onState("live");
    };
    source.addEventListener("hub.update", (event) => onUpdate(changedIn(event.data)));
    source.onerror = () => {
      onState("reconnecting");
      // The browser retries a dropped connection by itself, but gives up on an answer that is no stream (503, 401).
      if (source?.readyState === EventSource.CLOSED) {
        timer = setTimeout(open, retry);
        retry = Math.min(retry * 2, LAST_RETRY_MS);
      }
    };
  };
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const followVisibility = () => {
    if (document.hidden) {
      close();
      onState("paused");
    } else if (!source) {
      onState("connecting");
      open();
    }
  };

  onState(document.hidden ? "paused" : "connecting");
  if (!document.hidden) open();
  document.addEventListener("visibilitychange", followVisibility);
  return () => {
    document.removeEventListener("visibilitychange", followVisibility);
    close();
  };
}

function changedIn(data: unknown): string[] {
  try {
    const { changed } = JSON.parse(String(data)) as { changed?: unknown };
    if (Array.isArray(changed)) return changed.map(String);
  } catch {
    // An update that this page cannot read still says that something changed.
  }
  return ["usage", "hosts"];
}

/**
 * Run `work` for every burst of calls: the first at once, those that come meanwhile once more afterwards. Never two at a
 * time, and never more than a quarter of the time, so that a busy hub is not asked without pause.
 */
export function coalesce(work: () => Promise<void>, leastGapMs = 250): () => void {
  let running = false;
  let again = false;
  const run = async () => {
    running = true;
    again = false;
    const started = Date.now();
    try {
      await work();
    } finally {
      const gap = Math.max(leastGapMs, 3 * (Date.now() - started));
      setTimeout(() => {
        running = false;
        if (again) void run();
      }, gap);
    }
  };
  return () => {
    if (running) again = true;
    else void run();
  };
}

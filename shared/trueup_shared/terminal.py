"""What a terminal may be shown of text that others wrote: logs, names of files, a hub's words."""


def printable(text: str) -> str:
    """Without control characters (they move the cursor, set titles, hide lines), line ends and turns of direction."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)

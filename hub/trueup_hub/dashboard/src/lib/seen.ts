import type { Attachment } from "svelte/attachments";

/** Calls whenever the element comes near what is seen of the page. */
export const seen =
  (then: () => void): Attachment =>
  (element) => {
    const watcher = new IntersectionObserver(
      (entries) => entries.some(({ isIntersecting }) => isIntersecting) && then(),
      {
        rootMargin: "600px",
      },
    );
    watcher.observe(element);
    return () => watcher.disconnect();
  };

/** How a machine is added: how long a code can live, and what is run on the machine. */

export const LIVES: { seconds: number; words: string }[] = [
  { seconds: 3_600, words: "an hour" },
  { seconds: 86_400, words: "a day" },
  { seconds: 604_800, words: "a week" },
];

/** Only the machine itself reaches such an address. */
export const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" ||
  hostname.endsWith(".localhost") ||
  hostname === "[::1]" ||
  /^127(\.\d+){3}$/.test(hostname);

/** Of the root of the app, which may lie below a path prefix. */
export const hubAddress = (base: string): string => new URL(".", base).href.replace(/\/$/, "");

export const commands = (address: string, code: string): string =>
  `trueup agent enroll ${address} --code ${code}\ntrueup agent run`;

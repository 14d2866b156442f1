import { createContext } from "svelte";
import type { Hub } from "./hub.svelte";

/** What all parts of the page share, for those that no page hands it to. */
export const [theHub, shareHub] = createContext<Hub>();

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// The hub serves the page under `default-src 'self'` and perhaps below a path prefix: addresses are relative, and nothing
// is inlined as data: (images) or as a script of its own (preload polyfill).
export default defineConfig({
  base: "./",
  plugins: [svelte({ configFile: false })],
  build: {
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2023",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
  },
  server: { proxy: { "/api": "http://127.0.0.1:8787", "/login": "http://127.0.0.1:8787" } },
  test: { include: ["test/**/*.test.ts"] },
});

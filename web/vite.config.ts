import { svelte } from "@sveltejs/vite-plugin-svelte";
import { loadEnv } from "vite";
import { defineConfig } from "vitest/config";
import { words } from "./src/lib/words";

// The stack that `npm run dev` and `npm run preview` show: the URL that `make run` prints.
const service =
  process.env.TINTYPE_URL ?? loadEnv("", process.cwd(), "TINTYPE_").TINTYPE_URL ?? "http://127.0.0.2:8080";
// Where the local stack's buckets are.
const bucket = process.env.AWS_ENDPOINT_URL ?? `http://127.0.0.1:${new URL(service).port}`;

const proxy = {
  "^/(api|media)/": { target: service, changeOrigin: true },
};

// Index.html takes its texts from where all others are.
const documentWords = {
  name: "document-words",
  transformIndexHtml: (html: string): string =>
    html.replace(/%words\.(\w+)%/g, (_, name: keyof typeof words.document) => words.document[name]),
};

export default defineConfig({
  plugins: [svelte(), documentWords],
  build: {
    target: "es2022",
    assetsDir: "assets",
    // The Content-Security-Policy forbids data: URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // Of the packages that the page's files contain.
    license: { fileName: "licenses.txt" },
    // The API's documentation is a page of its own, whose viewer weighs more than all else.
    rollupOptions: { input: ["index.html", "docs.html"] },
  },
  server: { proxy },
  preview: {
    proxy,
    headers: {
      "Content-Security-Policy": [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        // URLs of public images are absolute.
        `img-src 'self' ${service} ${bucket}`,
        `connect-src 'self' ${bucket}`,
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
      ].join("; "),
    },
  },
  test: { include: ["src/**/*.test.ts"] },
});

// Bundles src/ into ../assets/player.js and player.css; run by `npm run build`.
//
// The banner has a hash of everything that the bundle is made from. tests/viewer/test_bundle.py
// computes the same, so that a bundle that was not rebuilt is found.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { build } from "esbuild";

const inputs = [
  "build.mjs",
  "package-lock.json",
  "package.json",
  "tsconfig.json",
  ...readdirSync("src").map((name) => `src/${name}`),
].sort();
const hash = createHash("sha256");
for (const name of inputs) hash.update(`${name}\n`).update(readFileSync(name));

function licence(name) {
  const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`));
  return `${name} ${version}\n\n${readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim()}`;
}

const banner = [
  "vidpose's player. Built by `make viewer` from vidpose/viewer/web; do not edit.",
  `Sources: ${hash.digest("hex")}`,
  "It contains:",
  licence("three"),
  licence("uplot"),
].join("\n\n");

await build({
  entryPoints: ["src/player.ts", "src/player.css"],
  outdir: "../assets",
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "utf8",
  legalComments: "none", // the licences stand in the banner
  banner: { js: `/*\n${banner}\n*/` },
});

// Bundles each widget into one file that needs nothing else: node build.mjs <folder>
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import path from "node:path";

const here = path.dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] ?? path.join(here, "..", "libp2p_lab", "widgets", "static");

await build({
  absWorkingDir: here,
  entryPoints: [
    "src/network_map.js",
    "src/internet_map.js",
    "src/mesh_view.js",
    "src/score_board.js",
    "src/wire_lens.js",
    "src/key_lab.js",
    "src/dial_race.js",
    "src/handshake_stepper.js",
    "src/stack_builder.js",
    "src/check_panel.js",
    "src/stream_scope.js",
    "src/timeline.js",
    "src/resource_meter.js",
    "src/xor_tree.js",
    "src/lookup_race.js",
    "src/provider_map.js",
    "src/block_trail.js",
    "src/crawl_board.js",
    "src/nat_bench.js",
    "src/hole_punch_timeline.js",
    "src/lab.css",
  ],
  outdir: path.resolve(target),
  bundle: true,
  format: "esm",
  target: ["es2022"],
  minify: true,
  charset: "utf8",
  legalComments: "inline",
  logLevel: "warning",
});

// One line in: path, format, directory for the results (or "-"), "encode" or "pixels".
// One line out: the sizes of the two results in bytes. An argument is the number of threads.
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import sharp from "sharp";

sharp.cache(false);
if (process.argv[2]) {
  sharp.concurrency(Number(process.argv[2]));
}
// Thumbnails are at most four times as wide as they are tall.
const inside = (height) => ({ height, width: 4 * height, fit: "inside" });

const encoders = {
  jpeg: (image) => image.jpeg({ quality: 80 }),
  png: (image) => image.png(),
  webp: (image) => image.webp({ quality: 80 }),
  gif: (image) => image.gif(),
};

async function make(path, format, directory, mode) {
  const { data, info } = await sharp(path, { autoOrient: true })
    .resize(inside(400))
    .raw()
    .toBuffer({ resolveWithObject: true });
  const raw = { width: info.width, height: info.height, channels: info.channels };
  const large = sharp(data, { raw });
  const small = sharp(data, { raw }).resize(inside(200));
  const encode = encoders[mode === "pixels" ? "png" : format];
  const results = [await encode(large).toBuffer(), await encode(small).toBuffer()];
  if (directory !== "-") {
    results.forEach((result, index) => writeFileSync(`${directory}/${index}`, result));
  }
  return results.map((result) => result.length).join(" ");
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(await make(...line.split("\t")));
}

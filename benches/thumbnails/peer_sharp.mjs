// One line in: path, format, directory for the results (or "-"), "encode" or "pixels".
// One line out: the sizes of the two results in bytes.
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import sharp from "sharp";

sharp.cache(false);

const encoders = {
  jpeg: (image) => image.jpeg({ quality: 80 }),
  png: (image) => image.png(),
  webp: (image) => image.webp({ quality: 80 }),
  gif: (image) => image.gif(),
};

async function make(path, format, directory, mode) {
  const { data, info } = await sharp(path)
    .resize({ height: 400 })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const raw = { width: info.width, height: info.height, channels: info.channels };
  const large = sharp(data, { raw });
  const small = sharp(data, { raw }).resize({ height: 200 });
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

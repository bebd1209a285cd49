// `GET /api/images/{id}` in JavaScript: the AWS SDK for JavaScript v3 reads the items and signs the URLs. It does not verify the
// token.
import { BatchGetItemCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { unmarshall } from "@aws-sdk/util-dynamodb";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const LIFETIME = 900;
const { TABLE, ORIGINALS_BUCKET, THUMBNAILS_BUCKET } = process.env;
const dynamodb = new DynamoDBClient({});
const s3 = new S3Client({ forcePathStyle: "AWS_ENDPOINT_URL" in process.env });

function uuids(image) {
  let number = 0n;
  for (const letter of image) number = number * 32n + BigInt(ALPHABET.indexOf(letter));
  const hex = (number >> BigInt(5 * image.length - 256)).toString(16).padStart(64, "0");
  return [hex.slice(0, 32), hex.slice(32)].map((id) => id.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-"));
}

const signed = (Bucket, Key, kind) =>
  getSignedUrl(
    s3,
    new GetObjectCommand({ Bucket, Key, ResponseContentType: kind, ResponseContentDisposition: "inline" }),
    { expiresIn: LIFETIME },
  );

async function handle(event) {
  const image = event.rawPath.split("/").at(-1);
  const [owner, key] = uuids(image);
  const claims = JSON.parse(Buffer.from(event.headers.authorization.split(".")[1], "base64url"));
  const keys = [
    [`USER#${owner}`, `IMAGE#${key}`],
    [`PROFILE#${owner}`, "PROFILE"],
    [`PROFILE#${owner}`, `SESSION#${claims.origin_jti}`],
  ];
  const Keys = keys.map(([pk, sk]) => ({ pk: { S: pk }, sk: { S: sk } }));
  const answer = await dynamodb.send(
    new BatchGetItemCommand({ RequestItems: { [TABLE]: { Keys, ConsistentRead: true } } }),
  );
  const items = answer.Responses[TABLE].map((item) => unmarshall(item));
  const item = items.find((item) => item.sk.startsWith("IMAGE#"));
  const profile = items.find((item) => item.sk === "PROFILE");
  const folder = `${owner}/${key}`;
  const kind = item.content_type;
  const thumbnails = await Promise.all(
    item.thumbnails.map(async ({ height, width }) => ({
      height,
      width,
      content_type: kind,
      url: await signed(THUMBNAILS_BUCKET, `thumbnails/${folder}/${item.built_for}/${height}.jpg`, kind),
    })),
  );
  const view = {
    id: image,
    owner: { id: owner, name: profile.name },
    title: item.title,
    description: item.description,
    visibility: item.visibility,
    content_type: kind,
    size: item.size,
    width: item.width,
    height: item.height,
    sha256: item.sha256 ?? null,
    status: item.state,
    placeholder: Buffer.from(item.placeholder).toString("base64"),
    image_url: await signed(ORIGINALS_BUCKET, `originals/${folder}/original`, kind),
    thumbnails,
    url_expires_at: new Date(Date.now() + LIFETIME * 1000).toISOString(),
    created_at: new Date(item.created_at).toISOString(),
    updated_at: new Date(item.updated_at).toISOString(),
  };
  const headers = { "content-type": "application/json", etag: `"${item.version}"` };
  return { statusCode: 200, headers, body: JSON.stringify(view), isBase64Encoded: false };
}

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
for (;;) {
  const event = await fetch(`${api}/next`);
  const request = event.headers.get("lambda-runtime-aws-request-id");
  const answer = await handle(await event.json());
  await (await fetch(`${api}/${request}/response`, { method: "POST", body: JSON.stringify(answer) })).text();
}

// Reads one webhook, as JSON on standard input: {"headers", "body", "secret", "publicKey"}. Prints what others make of it.
import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { HTTP } from "cloudevents";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";

const { headers, body, secret, publicKey } = JSON.parse(readFileSync(0, "utf-8"));

function accepts(check) {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

const raw = Buffer.from(publicKey.replace("whpk_", ""), "base64");
const key = createPublicKey({
  key: { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") },
  format: "jwk",
});
const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
const asymmetric = headers["webhook-signature"]
  .split(" ")
  .filter((one) => one.startsWith("v1a,"))
  .some((one) => verify(null, signed, key, Buffer.from(one.slice(4), "base64")));
const event = HTTP.toEvent({ headers, body });

console.log(
  JSON.stringify({
    standardwebhooks: accepts(() => new StandardWebhook(secret).verify(body, headers)),
    svix: accepts(() => new SvixWebhook(secret).verify(body, headers)),
    asymmetric,
    event: { id: event.id, type: event.type, subject: event.subject, data: event.data, valid: event.validate() },
  }),
);

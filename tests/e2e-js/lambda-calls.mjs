// Calls Lambda for tests in another language: one call by line on stdin, one answer by line on stdout.
// node lambda-calls.mjs FOLDER-WITH-NODE_MODULES SETTINGS-AS-JSON
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const [folder, settings] = process.argv.slice(2)
const sdk = createRequire(join(folder, 'here.js'))('@aws-sdk/client-lambda')
const client = new sdk.LambdaClient(JSON.parse(settings))

async function answer({ operation, input }) {
  const output = await client.send(new sdk[`${operation}Command`](input))
  if (output.Payload) output.Payload = output.Payload.transformToString()
  if (output.EventStream) {
    const chunks = []
    for await (const event of output.EventStream) if (event.PayloadChunk) chunks.push(event.PayloadChunk.Payload)
    output.Payload = Buffer.concat(chunks).toString()
    delete output.EventStream
  }
  delete output.$metadata
  return { output }
}

for await (const line of createInterface({ input: process.stdin })) {
  const told = await answer(JSON.parse(line)).catch(({ name, message }) => ({ error: { name, message } }))
  process.stdout.write(`${JSON.stringify(told)}\n`)
}

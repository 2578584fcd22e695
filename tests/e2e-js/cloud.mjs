// A `lambent up` of our own, and clients of the JavaScript SDK that talk to it.
import { execFileSync, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import * as zlib from 'node:zlib'

export const ROOT_KEY = 'AKIALAMBENTENDTOEND0'
export const ROOT_SECRET = 'end-to-end/secret+0123456789abcdefghijkl'
export const ACCOUNT = '000000000000'
export const REGION = 'us-east-1'

/** Starts a cloud on a folder of its own; gives its endpoint, its process and what ends both. */
export async function start() {
  const binary = process.env.LAMBENT_BIN
  if (!binary) throw new Error('LAMBENT_BIN must name the lambent binary to test')
  const folder = await mkdtemp(join(tmpdir(), 'lambent-js-'))
  const data = join(folder, 'lambent-data')
  await mkdir(data, { mode: 0o700 })
  // The packages of the runtimes were fetched once; they are linked, not copied.
  execFileSync('cp', ['--archive', '--link', process.env.LAMBENT_TEST_RUNTIMES, join(data, 'runtimes')])
  const env = { ...process.env, LAMBENT_ROOT_ACCESS_KEY_ID: ROOT_KEY, LAMBENT_ROOT_SECRET_ACCESS_KEY: ROOT_SECRET }
  const child = spawn(binary, ['up', '--listen', '127.0.0.1:0', '--data', data], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let errors = ''
  child.stderr.on('data', (text) => (errors = (errors + text).slice(-4000)))
  const endpoint = await new Promise((found, failed) => {
    child.on('exit', (code) => failed(new Error(`lambent ended with ${code}: ${errors}`)))
    createInterface({ input: child.stdout }).on('line', (line) => {
      const address = /https?:\/\/[\w.:[\]-]+/.exec(line)
      if (address) found(address[0])
    })
  })
  const stop = async () => {
    const ended = new Promise((done) => child.once('exit', done))
    child.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true, force: true })
  }
  return { endpoint, pid: child.pid, stop, memoryPeakBytes: () => memoryPeakBytes(child.pid) }
}

async function memoryPeakBytes(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)[1]) * 1024
}

/** Settings for a client of `endpoint`; it does not try again, so that a test sees the first answer. */
export function settings(endpoint, more = {}) {
  const credentials = { accessKeyId: ROOT_KEY, secretAccessKey: ROOT_SECRET }
  return { endpoint, region: REGION, credentials, maxAttempts: 1, ...more }
}

/** Asks again until the answer is true. */
export async function eventually(probe, timeoutMs = 30_000) {
  const ends = Date.now() + timeoutMs
  for (;;) {
    const value = await probe()
    if (value) return value
    if (Date.now() > ends) throw new Error(`still ${value} after ${timeoutMs} ms`)
    await new Promise((done) => setTimeout(done, 50))
  }
}

/** A zip with one file. */
export function zipOf(name, text) {
  const data = Buffer.from(text)
  const packed = zlib.deflateRawSync(data)
  const file = Buffer.from(name)
  const common = Buffer.alloc(26)
  common.writeUInt16LE(20, 0)
  common.writeUInt16LE(8, 4)
  common.writeUInt16LE(0x21, 8)
  common.writeUInt32LE(crc32(data), 10)
  common.writeUInt32LE(packed.length, 14)
  common.writeUInt32LE(data.length, 18)
  common.writeUInt16LE(file.length, 22)
  const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, file, packed])
  const central = Buffer.concat([Buffer.from('PK\x01\x02\x14\x03'), common, Buffer.alloc(14), file])
  // Unix permissions 0644 of a regular file, in the upper half of the external attributes.
  central.writeUInt32LE(0o100644 * 65536, 38)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(1, 8)
  end.writeUInt16LE(1, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(local.length, 16)
  return Buffer.concat([local, central, end])
}

function crc32(data) {
  let crc = ~0
  for (const byte of data) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1))
  }
  return ~crc >>> 0
}

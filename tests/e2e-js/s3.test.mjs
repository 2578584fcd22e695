import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { after, before, describe, it } from 'node:test'

import {
  CopyObjectCommand, CreateBucketCommand, DeleteObjectCommand, DeleteObjectsCommand, GetObjectCommand,
  HeadBucketCommand, HeadObjectCommand, ListBucketsCommand, ListMultipartUploadsCommand, NoSuchKey, NotFound,
  PutObjectCommand, S3Client, S3ServiceException, paginateListObjectsV2,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'

import { settings, start } from './cloud.mjs'

const MIB = 1024 * 1024
const Bucket = 'from-js'

describe('S3', () => {
  let cloud, s3
  before(async () => {
    cloud = await start()
    s3 = new S3Client(settings(cloud.endpoint, { forcePathStyle: true }))
    await s3.send(new CreateBucketCommand({ Bucket }))
  })
  after(() => cloud.stop())

  const put = (Key, Body, more = {}) => s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }))
  const get = (Key, more = {}) => s3.send(new GetObjectCommand({ Bucket, Key, ...more }))

  it('puts and gets', async () => {
    const answer = await put('a/b c+ü.txt', 'héllo', { ContentType: 'text/plain', Metadata: { who: 'js' } })
    assert.match(answer.ETag, /^"[0-9a-f]{32}"$/)
    assert.ok(answer.ChecksumCRC32, 'the SDK sends a checksum by default')
    const got = await get('a/b c+ü.txt')
    assert.equal(await got.Body.transformToString(), 'héllo')
    assert.equal(got.ContentType, 'text/plain')
    assert.deepEqual(got.Metadata, { who: 'js' })
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'a/b c+ü.txt' }))
    assert.equal(head.ContentLength, 6)
  })

  it('streams with a trailing checksum, which is the default', async () => {
    const body = randomBytes(3 * MIB + 17)
    const seen = {}
    const watched = new S3Client(settings(cloud.endpoint, { forcePathStyle: true }))
    watched.middlewareStack.add((next) => (args) => {
      Object.assign(seen, args.request.headers)
      return next(args)
    }, { step: 'finalizeRequest', priority: 'low' })
    const stream = Readable.from([body.subarray(0, MIB), body.subarray(MIB)])
    await watched.send(new PutObjectCommand({ Bucket, Key: 'streamed', Body: stream, ContentLength: body.length }))
    assert.equal(seen['x-amz-content-sha256'], 'STREAMING-UNSIGNED-PAYLOAD-TRAILER')
    assert.equal(seen['x-amz-trailer'], 'x-amz-checksum-crc32')
    const got = await get('streamed')
    assert.ok(Buffer.from(await got.Body.transformToByteArray()).equals(body))
    assert.equal(got.ContentEncoding, undefined)
    watched.destroy()
  })

  for (const kind of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']) {
    it(`verifies ${kind} that the SDK computes`, async () => {
      const answer = await put(`sum-${kind}`, 'some data', { ChecksumAlgorithm: kind })
      assert.ok(answer[`Checksum${kind}`])
      const got = await get(`sum-${kind}`, { ChecksumMode: 'ENABLED' })
      assert.equal(got[`Checksum${kind}`], answer[`Checksum${kind}`])
      assert.equal(await got.Body.transformToString(), 'some data')
    })
  }

  it('refuses a wrong checksum', async () => {
    const ChecksumSHA256 = createHash('sha256').update('other').digest('base64')
    await assert.rejects(put('wrong', 'some data', { ChecksumSHA256 }), (error) => {
      assert.ok(error instanceof S3ServiceException)
      assert.equal(error.name, 'BadDigest')
      assert.equal(error.$metadata.httpStatusCode, 400)
      return true
    })
  })

  it('uploads in parts with lib-storage', async () => {
    const body = randomBytes(13 * MIB)
    const upload = new Upload({
      client: s3,
      params: { Bucket, Key: 'parts', Body: Readable.from([body.subarray(0, 7 * MIB), body.subarray(7 * MIB)]) },
      partSize: 5 * MIB,
      queueSize: 3,
    })
    const answer = await upload.done()
    assert.match(answer.ETag, /-3"$/)
    const got = Buffer.from(await (await get('parts')).Body.transformToByteArray())
    assert.ok(got.equals(body))
    const left = await s3.send(new ListMultipartUploadsCommand({ Bucket }))
    assert.equal(left.Uploads, undefined)
  })

  it('reads ranges and conditions', async () => {
    const { ETag } = await put('digits', '0123456789')
    const part = await get('digits', { Range: 'bytes=2-5' })
    assert.equal(await part.Body.transformToString(), '2345')
    assert.equal(part.ContentRange, 'bytes 2-5/10')
    await assert.rejects(get('digits', { IfNoneMatch: ETag }), (error) => error.$metadata.httpStatusCode === 304)
    await assert.rejects(get('digits', { IfMatch: '"other"' }), { name: 'PreconditionFailed' })
    await assert.rejects(put('digits', 'x', { IfNoneMatch: '*' }), { name: 'PreconditionFailed' })
    await assert.rejects(get('digits', { Range: 'bytes=10-' }), { name: 'InvalidRange' })
  })

  it('gives errors their own classes', async () => {
    await assert.rejects(get('missing'), (error) => {
      assert.ok(error instanceof NoSuchKey)
      assert.equal(error.message, 'The specified key does not exist.')
      assert.ok(error.$metadata.requestId)
      return true
    })
    await assert.rejects(s3.send(new HeadBucketCommand({ Bucket: 'missing-bucket' })), NotFound)
    const other = get('k', { Bucket: 'missing-bucket' })
    await assert.rejects(other, { name: 'NoSuchBucket', BucketName: 'missing-bucket' })
  })

  it('copies, lists and deletes', async () => {
    for (const number of [1, 2, 3]) await put(`list/${number}`, String(number))
    await s3.send(new CopyObjectCommand({ Bucket, Key: 'list/4', CopySource: `${Bucket}/list/1` }))
    const keys = []
    for await (const page of paginateListObjectsV2({ client: s3, pageSize: 3 }, { Bucket, Prefix: 'list/' })) {
      keys.push(...page.Contents.map((object) => object.Key))
    }
    assert.deepEqual(keys, ['list/1', 'list/2', 'list/3', 'list/4'])
    const Objects = keys.slice(1).map((Key) => ({ Key }))
    const deleted = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }))
    assert.deepEqual(deleted.Deleted.map((object) => object.Key), keys.slice(1))
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'list/1' }))
    await assert.rejects(get('list/1'), NoSuchKey)
    const { Buckets } = await s3.send(new ListBucketsCommand({}))
    assert.deepEqual(Buckets.map((bucket) => bucket.Name), [Bucket])
    assert.ok(Buckets[0].CreationDate instanceof Date)
  })

  it('presigns', async () => {
    const url = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: 'signed ü' }), { expiresIn: 60 })
    const sent = await fetch(url, { method: 'PUT', body: 'through a URL' })
    assert.equal(sent.status, 200, await sent.text())
    const back = await fetch(await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: 'signed ü' }), { expiresIn: 60 }))
    assert.equal(await back.text(), 'through a URL')
    const spoilt = await fetch(url.replace('X-Amz-Signature=', 'X-Amz-Signature=0'), { method: 'PUT', body: 'x' })
    assert.equal(spoilt.status, 403)
  })

  it('stays small while a large stream passes', async () => {
    const size = 256 * MIB
    const block = randomBytes(MIB)
    const blocks = function* () { for (let sent = 0; sent < size; sent += MIB) yield block }
    await put('large', Readable.from(blocks()), { ContentLength: size })
    let received = 0
    for await (const piece of (await get('large')).Body) received += piece.length
    assert.equal(received, size)
    assert.ok((await cloud.memoryPeakBytes()) < 150 * MIB)
  })
})

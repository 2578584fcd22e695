import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import {
  ConditionalCheckFailedException, CreateTableCommand, DynamoDBClient, TransactionCanceledException,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb'
import {
  BatchGetCommand, BatchWriteCommand, DeleteCommand, DynamoDBDocumentClient, ExecuteStatementCommand, GetCommand,
  NumberValue, PutCommand, TransactGetCommand, TransactWriteCommand, UpdateCommand, paginateQuery, paginateScan,
} from '@aws-sdk/lib-dynamodb'

import { settings, start } from './cloud.mjs'

const TableName = 'from-js'

describe('DynamoDB', () => {
  let cloud, client, documents
  before(async () => {
    cloud = await start()
    client = new DynamoDBClient(settings(cloud.endpoint))
    documents = DynamoDBDocumentClient.from(client)
    await client.send(new CreateTableCommand({
      TableName,
      KeySchema: [{ AttributeName: 'owner', KeyType: 'HASH' }, { AttributeName: 'number', KeyType: 'RANGE' }],
      AttributeDefinitions: [
        { AttributeName: 'owner', AttributeType: 'S' }, { AttributeName: 'number', AttributeType: 'N' },
      ],
      BillingMode: 'PAY_PER_REQUEST',
    }))
    await waitUntilTableExists({ client, maxWaitTime: 30, minDelay: 0.05, maxDelay: 0.2 }, { TableName })
  })
  after(() => cloud.stop())

  const send = (Command, more) => documents.send(new Command({ TableName, ...more }))

  it('puts and gets documents', async () => {
    const Item = {
      owner: 'ü', number: 1, list: [1, 'two', { three: [true, null] }], bytes: new Uint8Array([0, 255]),
      texts: new Set(['a', 'b']), numbers: new Set([1, 2.5]), empty: '',
    }
    await send(PutCommand, { Item })
    const got = await send(GetCommand, { Key: { owner: 'ü', number: 1 }, ConsistentRead: true })
    assert.deepEqual({ ...got.Item, bytes: new Uint8Array(got.Item.bytes) }, Item)
    assert.equal((await send(GetCommand, { Key: { owner: 'ü', number: 2 } })).Item, undefined)
  })

  it('keeps numbers that JavaScript cannot', async () => {
    // A client of its own, as the setting goes with the client.
    const own = new DynamoDBClient(settings(cloud.endpoint))
    const exact = DynamoDBDocumentClient.from(own, { unmarshallOptions: { wrapNumbers: true } })
    const value = NumberValue.from('12345678901234567890.123456789')
    await send(PutCommand, { Item: { owner: 'exact', number: 1, value } })
    const got = await exact.send(new GetCommand({ TableName, Key: { owner: 'exact', number: 1 } }))
    assert.equal(got.Item.value.toString(), '12345678901234567890.123456789')
    // No other client could read it.
    await send(DeleteCommand, { Key: { owner: 'exact', number: 1 } })
    own.destroy()
  })

  it('updates under conditions', async () => {
    const Key = { owner: 'update', number: 1 }
    const add = {
      Key,
      UpdateExpression: 'SET #c = if_not_exists(#c, :zero) + :one',
      ConditionExpression: 'attribute_not_exists(#c) OR #c < :two',
      ExpressionAttributeNames: { '#c': 'count' },
      ExpressionAttributeValues: { ':zero': 0, ':one': 1, ':two': 2 },
      ReturnValues: 'UPDATED_NEW',
    }
    assert.deepEqual((await send(UpdateCommand, add)).Attributes, { count: 1 })
    assert.deepEqual((await send(UpdateCommand, add)).Attributes, { count: 2 })
    const refused = send(UpdateCommand, { ...add, ReturnValuesOnConditionCheckFailure: 'ALL_OLD' })
    await assert.rejects(refused, (error) => {
      assert.ok(error instanceof ConditionalCheckFailedException)
      assert.equal(error.message, 'The conditional request failed')
      // What an error brings, documents leave as it is.
      assert.deepEqual(error.Item.count, { N: '2' })
      return true
    })
    assert.deepEqual((await send(DeleteCommand, { Key, ReturnValues: 'ALL_OLD' })).Attributes, { ...Key, count: 2 })
  })

  it('writes batches and pages through them', async () => {
    const items = Array.from({ length: 60 }, (_, number) => ({ owner: 'many', number, text: `${number}` }))
    for (let at = 0; at < items.length; at += 25) {
      const puts = items.slice(at, at + 25).map((Item) => ({ PutRequest: { Item } }))
      const answer = await documents.send(new BatchWriteCommand({ RequestItems: { [TableName]: puts } }))
      assert.deepEqual(answer.UnprocessedItems, {})
    }
    const found = []
    const query = {
      TableName,
      KeyConditionExpression: '#o = :o',
      ExpressionAttributeNames: { '#o': 'owner' },
      ExpressionAttributeValues: { ':o': 'many' },
    }
    for await (const page of paginateQuery({ client: documents, pageSize: 13 }, query)) found.push(...page.Items)
    assert.deepEqual(found, items)
    let scanned = 0
    for await (const page of paginateScan({ client: documents, pageSize: 11 }, { TableName })) scanned += page.Count
    assert.ok(scanned >= 60)
    const Keys = [{ owner: 'many', number: 3 }, { owner: 'many', number: 1000 }]
    const got = await documents.send(new BatchGetCommand({ RequestItems: { [TableName]: { Keys } } }))
    assert.deepEqual(got.Responses[TableName], [items[3]])
  })

  it('writes transactions', async () => {
    const put = (number, more = {}) => ({ Put: { TableName, Item: { owner: 'moved', number }, ...more } })
    await documents.send(new TransactWriteCommand({ TransactItems: [put(1), put(2)] }))
    const both = await documents.send(new TransactGetCommand({
      TransactItems: [1, 2, 3].map((number) => ({ Get: { TableName, Key: { owner: 'moved', number } } })),
    }))
    assert.deepEqual(both.Responses.map((one) => one.Item?.number), [1, 2, undefined])
    const again = put(2, { ConditionExpression: 'attribute_not_exists(#o)', ExpressionAttributeNames: { '#o': 'owner' } })
    const cancelled = documents.send(new TransactWriteCommand({ TransactItems: [put(4), again] }))
    await assert.rejects(cancelled, (error) => {
      assert.ok(error instanceof TransactionCanceledException)
      assert.deepEqual(error.CancellationReasons.map((reason) => reason.Code), ['None', 'ConditionalCheckFailed'])
      return true
    })
    assert.equal((await send(GetCommand, { Key: { owner: 'moved', number: 4 } })).Item, undefined)
  })

  it('speaks PartiQL', async () => {
    const run = (Statement, Parameters) => documents.send(new ExecuteStatementCommand({ Statement, Parameters }))
    await run(`INSERT INTO "${TableName}" VALUE {'owner': ?, 'number': ?, 'tags': ?}`, ['ql', 7, ['x']])
    const { Items } = await run(`SELECT tags FROM "${TableName}" WHERE owner = ? AND "number" > ?`, ['ql', 1])
    assert.deepEqual(Items, [{ tags: ['x'] }])
  })
})

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { CloudWatchLogsClient, DescribeLogStreamsCommand, FilterLogEventsCommand, GetLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs'
import { CreateRoleCommand, DeleteRoleCommand, EntityAlreadyExistsException, GetRoleCommand, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam'
import {
  CreateFunctionCommand, DeleteFunctionCommand, GetFunctionCommand, InvokeCommand, LambdaClient, ListFunctionsCommand,
  ResourceNotFoundException, UpdateFunctionConfigurationCommand, waitUntilFunctionActiveV2, waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda'
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'

import { ACCOUNT, eventually, settings, start, zipOf } from './cloud.mjs'

const policy = (...Statement) => JSON.stringify({ Version: '2012-10-17', Statement })
const trust = (Principal) => policy({ Effect: 'Allow', Principal, Action: 'sts:AssumeRole' })

describe('functions, logs and identities', () => {
  let cloud, lambda, logs, iam, sts, role
  before(async () => {
    cloud = await start()
    const common = settings(cloud.endpoint)
    ;[lambda, logs, iam, sts] = [LambdaClient, CloudWatchLogsClient, IAMClient, STSClient].map((Client) => new Client(common))
    const made = await iam.send(new CreateRoleCommand({
      RoleName: 'js', AssumeRolePolicyDocument: trust({ Service: 'lambda.amazonaws.com' }),
    }))
    role = made.Role.Arn
    const PolicyDocument = policy({ Effect: 'Allow', Action: '*', Resource: '*' })
    await iam.send(new PutRolePolicyCommand({ RoleName: 'js', PolicyName: 'all', PolicyDocument }))
  })
  after(() => cloud.stop())

  async function deploy(FunctionName, code, more = {}) {
    await lambda.send(new CreateFunctionCommand({
      FunctionName, Role: role, Runtime: 'nodejs22.x', Handler: 'index.handler', Code: { ZipFile: zipOf('index.mjs', code) }, ...more,
    }))
    await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 30, minDelay: 0.1, maxDelay: 0.2 }, { FunctionName })
  }

  const invoke = (FunctionName, event, more = {}) =>
    lambda.send(new InvokeCommand({ FunctionName, Payload: JSON.stringify(event ?? {}), ...more }))

  it('deploys, invokes and reads the log', async () => {
    await deploy('echo', 'export const handler = async (event) => { console.log("got", event.n); return event }')
    const answer = await invoke('echo', { n: 7 }, { LogType: 'Tail' })
    assert.equal(answer.StatusCode, 200)
    assert.equal(answer.FunctionError, undefined)
    assert.deepEqual(JSON.parse(answer.Payload.transformToString()), { n: 7 })
    const tail = Buffer.from(answer.LogResult, 'base64').toString()
    assert.match(tail, /START RequestId: .*\n.*\tINFO\tgot 7\nEND RequestId: .*\nREPORT RequestId: /)
    const logGroupName = '/aws/lambda/echo'
    const found = await eventually(async () => {
      const answer = await logs.send(new FilterLogEventsCommand({ logGroupName, filterPattern: 'REPORT' })).catch(() => ({}))
      return answer.events?.length && answer
    })
    assert.match(found.events[0].message, /Billed Duration: \d+ ms/)
    const { logStreams } = await logs.send(new DescribeLogStreamsCommand({ logGroupName }))
    const { logStreamName } = logStreams[0]
    const got = await logs.send(new GetLogEventsCommand({ logGroupName, logStreamName, startFromHead: true }))
    assert.ok(got.events.some((event) => event.message.includes('\tINFO\tgot 7')))
  })

  it('reports what user code throws', async () => {
    await deploy('fails', 'export const handler = async () => { throw new RangeError("too far") }')
    const answer = await invoke('fails')
    assert.equal(answer.FunctionError, 'Unhandled')
    const problem = JSON.parse(answer.Payload.transformToString())
    assert.equal(problem.errorType, 'RangeError')
    assert.equal(problem.errorMessage, 'too far')
  })

  it('changes and deletes', async () => {
    await deploy('changes', 'export const handler = async () => process.env.WORD ?? null')
    await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName: 'changes', Environment: { Variables: { WORD: 'new' } } }))
    await waitUntilFunctionUpdatedV2({ client: lambda, maxWaitTime: 30, minDelay: 0.1, maxDelay: 0.2 }, { FunctionName: 'changes' })
    assert.equal((await invoke('changes')).Payload.transformToString(), '"new"')
    const { Functions } = await lambda.send(new ListFunctionsCommand({}))
    assert.ok(Functions.some((one) => one.FunctionName === 'changes'))
    await lambda.send(new DeleteFunctionCommand({ FunctionName: 'changes' }))
    const gone = lambda.send(new GetFunctionCommand({ FunctionName: 'changes' }))
    await assert.rejects(gone, (error) => error instanceof ResourceNotFoundException && error.Type === 'User')
  })

  it('knows roles and sessions', async () => {
    assert.equal((await sts.send(new GetCallerIdentityCommand({}))).Arn, `arn:aws:iam::${ACCOUNT}:root`)
    const AssumeRolePolicyDocument = trust({ AWS: ACCOUNT })
    const create = new CreateRoleCommand({ RoleName: 'visitor', AssumeRolePolicyDocument })
    const { Role } = await iam.send(create)
    await assert.rejects(iam.send(create), EntityAlreadyExistsException)
    const given = await sts.send(new AssumeRoleCommand({ RoleArn: Role.Arn, RoleSessionName: 'js' }))
    assert.ok(given.Credentials.Expiration instanceof Date)
    const credentials = {
      accessKeyId: given.Credentials.AccessKeyId,
      secretAccessKey: given.Credentials.SecretAccessKey,
      sessionToken: given.Credentials.SessionToken,
    }
    const visitor = settings(cloud.endpoint, { credentials })
    const who = await new STSClient(visitor).send(new GetCallerIdentityCommand({}))
    assert.equal(who.Arn, `arn:aws:sts::${ACCOUNT}:assumed-role/visitor/js`)
    await assert.rejects(new IAMClient(visitor).send(new GetRoleCommand({ RoleName: 'visitor' })), { name: 'AccessDenied' })
    await iam.send(new DeleteRoleCommand({ RoleName: 'visitor' }))
  })
})

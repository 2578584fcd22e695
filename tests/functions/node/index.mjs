// The function of README.md in JavaScript.

let calls = 0

export const handler = async (event, context) => {
  calls += 1
  switch (event?.do) {
    case 'echo':
      return event.value
    case 'big':
      return 'x'.repeat(event.bytes)
    case 'context':
      return about(context)
    case 'count':
      return calls
    case 'log':
      for (const line of event.lines) process.stdout.write(`${line}\n`)
      return null
    case 'fail':
      throw new RangeError(event.message)
    case 'exit':
      process.exit(event.status)
    default:
      return event
  }
}

function about(context) {
  return {
    request: context.awsRequestId,
    arn: context.invokedFunctionArn,
    trace: process.env._X_AMZN_TRACE_ID,
    name: context.functionName,
    version: context.functionVersion,
    memory: context.memoryLimitInMB,
    log_group: context.logGroupName,
    log_stream: context.logStreamName,
    remaining_ms: context.getRemainingTimeInMillis(),
    custom: context.clientContext?.custom ?? null,
  }
}

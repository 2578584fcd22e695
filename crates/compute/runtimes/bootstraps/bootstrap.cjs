// Runs a Node.js function: asks which one, loads its handler, then takes events from the Lambda Runtime API and answers them.
//
// Source: AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes" and "Node.js handler".
// CommonJS, because Node starts its ES module loader only when a function needs it. The API is spoken over one plain
// connection, and the answer to an event travels together with the request for the next.
'use strict';

const fs = require('fs');
const net = require('net');
const path = require('path');

const API = '/2018-06-01/runtime';
const HEAD_END = Buffer.from('\r\n\r\n');
// A frame on the log descriptor: mark, length, microseconds; then a message that may span lines.
const FRAME_MARK = 0xa55a0003;
const FRAME_HEAD_BYTES = 16;
// The platform's side of the API, on the environment's own loopback.
const API_ADDRESS = '127.0.0.1:9001';
// Where a function's compiled code is, if there is any.
const CODE_CACHE = '/var/cache/node/code';
// The exit codes with which AWS's runtime ends after errors that nobody caught.
const EXIT_UNHANDLED_REJECTION = 128;
const EXIT_UNCAUGHT_EXCEPTION = 129;
const CODE_EXTENSIONS = ['', '.js', '.mjs', '.cjs'];
// A handler with this symbol streams its response; see streaming.cjs.
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');

// The descriptor for framed messages, once it is known.
let logFd = null;
let requestId = undefined;
// LoggingConfig's LogFormat and ApplicationLogLevel.
let isJson = false;
let leastLevel = 0;
const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
let current = null;

/** A failure that has a type of its own in Lambda's error object. */
class Fault extends Error {
  constructor(type, message) {
    super(message);
    this.name = type;
  }
}

/** The Runtime API over one connection. */
class Connection {
  constructor(address, onEvent) {
    const at = address.lastIndexOf(':');
    this.host = address.slice(0, at);
    this.nextRequest = `GET ${API}/invocation/next HTTP/1.1\r\nHost: ${this.host}\r\n\r\n`;
    this.onEvent = onEvent;
    this.onAnswer = null;
    this.pending = Buffer.alloc(0);
    this.afterPost = null;
    this.socket = net.connect({ host: this.host, port: Number(address.slice(at + 1)), noDelay: true });
    this.socket.on('data', (part) => this.take(part));
    // The platform has gone away or has no more work for this environment.
    this.socket.on('close', () => process.exit(0));
    this.socket.on('error', () => process.exit(0));
  }

  /** While an event is being handled the connection must not keep an otherwise empty event loop alive. */
  hold(wanted) {
    if (wanted) this.socket.ref();
    else this.socket.unref();
  }

  askNext() {
    this.socket.write(this.nextRequest);
  }

  /** Calls back with the answer to a GET. */
  ask(target, then) {
    this.onAnswer = then;
    this.socket.write(`GET ${API}${target} HTTP/1.1\r\nHost: ${this.host}\r\n\r\n`);
  }

  post(target, body, errorType, thenNext) {
    const extra = errorType ? `Lambda-Runtime-Function-Error-Type: ${headerSafe(errorType)}\r\n` : '';
    const head =
      `POST ${API}${target} HTTP/1.1\r\nHost: ${this.host}\r\nContent-Type: application/json\r\n` +
      `${extra}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
    this.socket.write(head + body + (thenNext ? this.nextRequest : ''));
  }

  /** Begins a response that is written in chunks; nothing else is said until it has ended. */
  beginStream(target, contentType) {
    this.socket.write(
      `POST ${API}${target} HTTP/1.1\r\nHost: ${this.host}\r\nContent-Type: ${headerSafe(contentType)}\r\n` +
        'Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n' +
        'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n',
    );
  }

  endStream(trailers, thenNext) {
    this.socket.write(`0\r\n${trailers}\r\n${thenNext ? this.nextRequest : ''}`);
  }

  /** Gives the platform a piece of compiled code. */
  postCode(piece, then) {
    this.afterPost = then;
    this.socket.write(`POST ${API}/code HTTP/1.1\r\nHost: ${this.host}\r\nContent-Length: ${piece.length}\r\n\r\n`);
    this.socket.write(piece);
  }

  take(part) {
    this.pending = this.pending.length ? Buffer.concat([this.pending, part]) : part;
    for (;;) {
      const end = this.pending.indexOf(HEAD_END);
      if (end < 0) return;
      const head = this.headOf(end);
      const stop = end + HEAD_END.length + Number(head.headers['content-length'] || 0);
      if (this.pending.length < stop) return this.collect(stop);
      const body = this.pending.subarray(end + HEAD_END.length, stop);
      this.pending = this.pending.subarray(stop);
      if (this.onAnswer) this.answered(head, body);
      else if (head.headers['lambda-runtime-aws-request-id']) this.onEvent(head.headers, body);
      else if (this.afterPost) this.afterPost();
    }
  }

  answered(head, body) {
    // Without a function the platform has no use for this environment any more.
    if (!head.status.includes(' 200 ')) process.exit(0);
    const then = this.onAnswer;
    this.onAnswer = null;
    then(body);
  }

  headOf(end) {
    const lines = this.pending.toString('utf8', 0, end).split('\r\n');
    const headers = {};
    for (const line of lines.slice(1)) {
      const colon = line.indexOf(':');
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    return { status: lines[0], headers };
  }

  /** Gathers a large body without copying it again for every part. */
  collect(stop) {
    const parts = [this.pending];
    let length = this.pending.length;
    this.pending = Buffer.alloc(0);
    this.take = (part) => {
      parts.push(part);
      length += part.length;
      if (length < stop) return;
      delete this.take;
      this.take(Buffer.concat(parts));
    };
  }
}

function headerSafe(text) {
  return String(text).replace(/[^\x20-\x7e]/g, '');
}

/** Writes all of it; a full pipe makes the function wait. */
function writeAll(fd, data) {
  let at = 0;
  while (at < data.length) {
    try {
      at += fs.writeSync(fd, data, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

/** One log event, even when the message has several lines. */
function writeLog(level, message) {
  writeLine(`${new Date().toISOString()}\t${requestId}\t${level}\t${message}`);
}

function writeLine(line) {
  if (logFd === null) {
    writeAll(1, Buffer.from(`${line.replace(/\n/g, '\r')}\n`));
    return;
  }
  const text = Buffer.from(`${line}\n`);
  const frame = Buffer.alloc(FRAME_HEAD_BYTES + text.length);
  frame.writeUInt32BE(FRAME_MARK, 0);
  frame.writeUInt32BE(text.length, 4);
  frame.writeBigInt64BE(BigInt(Date.now()) * 1000n, 8);
  text.copy(frame, FRAME_HEAD_BYTES);
  writeAll(logFd, frame);
}

/** A log record as LogFormat JSON has it; `parts` are what the function gave to the console. */
function writeJson(level, parts) {
  if (LEVELS.indexOf(level) < leastLevel) return;
  const record = { timestamp: new Date().toISOString(), level, requestId };
  const plainErrors = (_, value) => (value instanceof Error ? errorRecord(value) : value);
  if (parts.length === 1) {
    record.message = parts[0];
  } else {
    record.message = require('util').format(...parts);
    const error = parts.find((part) => part instanceof Error);
    if (error) Object.assign(record, errorRecord(error));
  }
  let line;
  try {
    line = JSON.stringify(record, plainErrors);
  } catch {
    // What refers to itself.
    line = JSON.stringify({ ...record, message: require('util').format(record.message) });
  }
  writeLine(line);
}

function errorRecord(error) {
  const { errorType, errorMessage, trace } = describe(error);
  return { errorType, errorMessage, stackTrace: trace };
}

function setUpConsole() {
  const levels = { log: 'INFO', info: 'INFO', debug: 'DEBUG', warn: 'WARN', error: 'ERROR', trace: 'TRACE' };
  const util = () => require('util');
  const plain = (parts) => (parts.length === 1 && typeof parts[0] === 'string' ? parts[0] : util().format(...parts));
  for (const [name, level] of Object.entries(levels)) {
    console[name] = (...parts) => (isJson ? writeJson(level, parts) : writeLog(level, plain(parts)));
  }
  console.fatal = (...parts) => (isJson ? writeJson('FATAL', parts) : writeLog('FATAL', plain(parts)));
}

/** {errorType, errorMessage, trace} as clients see it. */
function describe(error) {
  if (error instanceof Error || (error && typeof error === 'object' && error.stack && error.message)) {
    return {
      errorType: String(error.name),
      errorMessage: String(error.message),
      trace: String(error.stack).split('\n'),
    };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

/** The same for the log, with what else the error carries. */
function describeForLog(error) {
  const { errorType, errorMessage, trace } = describe(error);
  const more = error && typeof error === 'object' ? { ...error } : {};
  delete more.name;
  return JSON.stringify({ errorType, errorMessage, ...more, stack: trace });
}

function logError(title, error) {
  if (isJson) {
    writeJson('ERROR', [error instanceof Error ? errorRecord(error) : error]);
    return;
  }
  let text;
  try {
    text = describeForLog(error);
  } catch {
    text = JSON.stringify(describe(error));
  }
  writeLog('ERROR', `${title} \t${text}`);
}

/** Paths that a handler's module may have, in the order in which AWS tries them. */
function findModule(root, name) {
  const base = path.resolve(root, name);
  for (const extension of CODE_EXTENSIONS) {
    const file = base + extension;
    if (fs.existsSync(file) && fs.statSync(file).isFile()) return file;
  }
  return null;
}

async function loadModule(root, name) {
  const file = findModule(root, name);
  try {
    if (file && !file.endsWith('.mjs')) {
      try {
        return require(file);
      } catch (error) {
        if (!['ERR_REQUIRE_ESM', 'ERR_REQUIRE_ASYNC_MODULE'].includes(error.code)) throw error;
      }
    }
    if (file) return await import(require('url').pathToFileURL(file).href);
    return require(require.resolve(name, { paths: [root] }));
  } catch (error) {
    if (error instanceof SyntaxError) throw new Fault('Runtime.UserCodeSyntaxError', error.toString());
    if (['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND'].includes(error.code)) {
      throw new Fault('Runtime.ImportModuleError', error.toString().replace(`'${name}'`, `'${path.basename(name)}'`));
    }
    throw error;
  }
}

async function loadHandler(text) {
  const folder = path.dirname(text);
  const parts = /^([^.]*)\.(.+)$/.exec(path.basename(text));
  if (!parts || text.includes('..')) throw new Fault('Runtime.MalformedHandlerName', 'Bad handler');
  const module = await loadModule(process.env.LAMBDA_TASK_ROOT, path.join(folder, parts[1]));
  const find = (from) => parts[2].split('.').reduce((value, name) => (value == null ? value : value[name]), from);
  const handler = find(module) ?? find(module.default);
  if (handler === undefined) {
    throw new Fault('Runtime.HandlerNotFound', `${text} is undefined or not exported`);
  }
  if (typeof handler !== 'function') throw new Fault('Runtime.HandlerNotFound', `${text} is not a function`);
  return handler;
}

function parseOr(text, otherwise) {
  return text ? JSON.parse(text) : otherwise;
}

/** The second argument of a handler. */
function makeContext(headers, finish) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const context = {
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parseOr(headers['lambda-runtime-client-context'], undefined),
    identity: parseOr(headers['lambda-runtime-cognito-identity'], undefined),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    tenantId: headers['lambda-runtime-aws-tenant-id'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    getRemainingTimeInMillis: () => Math.max(deadline - Date.now(), 0),
    callbackWaitsForEmptyEventLoop: true,
    succeed: (result) => finish(null, result),
    fail: (error) => finish(error ?? 'handled'),
    done: (error, result) => finish(error, result),
  };
  return context;
}

/** One event on its way through the handler; settled once. */
class Invocation {
  constructor(connection, headers) {
    this.connection = connection;
    this.id = headers['lambda-runtime-aws-request-id'];
    this.settled = false;
    this.waiting = null;
  }

  /** A result that is sent only when nothing is left to do, unless the function asked not to wait. */
  settleLater(context, error, result) {
    if (this.settled || this.waiting) return;
    if (error !== null && error !== undefined) {
      this.fail(error);
    } else if (context.callbackWaitsForEmptyEventLoop) {
      this.waiting = { result };
    } else {
      this.succeed(result);
    }
  }

  succeed(result) {
    if (this.settled) return;
    let body;
    try {
      body = JSON.stringify(result === undefined ? null : result) ?? 'null';
    } catch (error) {
      this.fail(new Fault('Runtime.MarshalError', `Unable to stringify response body: ${error.message}`));
      return;
    }
    this.end('response', body, null);
  }

  fail(error) {
    if (this.settled) return;
    logError('Invoke Error', error);
    const described = describe(error);
    this.end('error', JSON.stringify(described), described.errorType);
  }

  /** The event loop ran empty. */
  nothingLeft() {
    if (!this.settled) this.succeed(this.waiting ? this.waiting.result : null);
  }

  end(kind, body, errorType) {
    this.settled = true;
    current = null;
    this.connection.hold(true);
    this.connection.post(`/invocation/${this.id}/${kind}`, body, errorType, true);
  }
}

function handleEvent(connection, handler, headers, body) {
  requestId = headers['lambda-runtime-aws-request-id'];
  const trace = headers['lambda-runtime-trace-id'];
  if (trace) process.env._X_AMZN_TRACE_ID = trace;
  else delete process.env._X_AMZN_TRACE_ID;
  connection.hold(false);
  if (handler[STREAMING]) {
    streamResponse(connection, handler, headers, body);
    return;
  }
  const invocation = new Invocation(connection, headers);
  current = invocation;
  try {
    const finish = (error, result) => invocation.settleLater(context, error, result);
    const context = makeContext(headers, finish);
    const returned = handler(JSON.parse(body.toString('utf8')), context, finish);
    if (returned && typeof returned.then === 'function') {
      returned.then(
        (result) => invocation.succeed(result),
        (error) => invocation.fail(error),
      );
    }
  } catch (error) {
    invocation.fail(error);
  }
}

function streamResponse(connection, handler, headers, body) {
  const { StreamedInvocation } = require('./streaming.cjs');
  const done = () => {
    current = null;
    connection.hold(true);
  };
  const invocation = new StreamedInvocation(connection, requestId, handler, { logError, describe, done });
  current = invocation;
  try {
    const { succeed, fail, done: _, ...context } = makeContext(headers, () => {});
    invocation.run(JSON.parse(body.toString('utf8')), context);
  } catch (error) {
    invocation.fail(error);
  }
}

/** What functions find as the global `awslambda`. */
function offerStreaming() {
  const load = () => require('./streaming.cjs');
  globalThis.awslambda = {
    streamifyResponse: (handler, options) => load().streamifyResponse(handler, options),
    get HttpResponseStream() {
      return load().HttpResponseStream;
    },
  };
}

function dieOf(connection, title, error, code) {
  logError(title, error);
  const described = describe(error);
  if (current && current.abort && current.abort(described)) {
    connection.afterPost = () => process.exit(code);
    return;
  }
  const target = current ? `/invocation/${current.id}/error` : '/init/error';
  connection.hold(true);
  connection.afterPost = () => process.exit(code);
  connection.post(target, JSON.stringify(described), described.errorType, false);
}

/** Becomes the function that the platform names, as far as variables go. */
function becomeFunction(env) {
  // A wrapper started this with the function's variables, as it wants them.
  if (!process.env.AWS_LAMBDA_EXEC_WRAPPER) {
    for (const name of Object.keys(process.env)) delete process.env[name];
    Object.assign(process.env, env);
  }
  if (env._LAMBDA_TELEMETRY_LOG_FD) logFd = Number(env._LAMBDA_TELEMETRY_LOG_FD);
  delete process.env._LAMBDA_TELEMETRY_LOG_FD;
  isJson = env.AWS_LAMBDA_LOG_FORMAT === 'JSON';
  leastLevel = Math.max(LEVELS.indexOf(env.AWS_LAMBDA_LOG_LEVEL), 0);
  process.chdir(env.LAMBDA_TASK_ROOT);
  // What NODE_PATH said when Node started was said before there was a function.
  require('module').Module._initPaths();
}

async function run(connection, setHandler) {
  process.on('uncaughtException', (error) => dieOf(connection, 'Uncaught Exception', error, EXIT_UNCAUGHT_EXCEPTION));
  process.on('unhandledRejection', (reason) => {
    const fault = new Fault('Runtime.UnhandledPromiseRejection', String(reason));
    fault.reason = reason;
    dieOf(connection, 'Unhandled Promise Rejection', fault, EXIT_UNHANDLED_REJECTION);
  });
  process.on('beforeExit', () => current && current.nothingLeft());
  offerStreaming();
  try {
    setHandler(await loadHandler(process.env._HANDLER));
  } catch (error) {
    dieOf(connection, 'Uncaught Exception', error, EXIT_UNCAUGHT_EXCEPTION);
    return;
  }
  connection.askNext();
}

function main() {
  setUpConsole();
  let handler;
  const connection = new Connection(API_ADDRESS, (headers, body) => handleEvent(connection, handler, headers, body));
  connection.ask('/function', (body) => {
    const { env, compile } = JSON.parse(body.toString('utf8'));
    becomeFunction(env);
    if (compile) {
      require('./code_cache.cjs').make(env.LAMBDA_TASK_ROOT, (piece, then) => connection.postCode(piece, then));
      return;
    }
    if (fs.existsSync(CODE_CACHE)) require('./code_cache.cjs').use(CODE_CACHE);
    run(connection, (loaded) => {
      handler = loaded;
    });
  });
}

main();

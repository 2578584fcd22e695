// Handlers that write their response as a stream, as `awslambda.streamifyResponse` makes them.
//
// Source: AWS Lambda Developer Guide, "Response streaming for Lambda functions" and "Building a custom runtime".
// The response is one chunked body on the connection on which events come; an error after its first byte stands behind it.
'use strict';

const { Writable } = require('stream');

/** By these a handler is known, as on AWS; other packages set them, too. */
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const STREAMED = 'response';

const DEFAULT_CONTENT_TYPE = 'application/octet-stream';
const HTTP_CONTENT_TYPE = 'application/vnd.awslambda.http-integration-response';
/** Zeros between what describes an HTTP response and its body. */
const DELIMITER_BYTES = 8;
/** The platform reads longer headers of errors as no header. */
const MAX_ERROR_CHARACTERS = 32 * 1024;

/** Marks a handler that takes (event, responseStream, context). */
function streamifyResponse(handler, options) {
  handler[STREAMING] = STREAMED;
  if (options && options.highWaterMark !== undefined) handler[HIGH_WATER_MARK] = Number(options.highWaterMark);
  return handler;
}

class HttpResponseStream {
  /** Puts status, headers and cookies before the body that is written to the stream. */
  static from(stream, prelude) {
    stream.setContentType(HTTP_CONTENT_TYPE);
    const text = JSON.stringify(prelude);
    stream._onBeforeFirstWrite = (write) => {
      write(text);
      write(new Uint8Array(DELIMITER_BYTES));
    };
    return stream;
  }
}

/** What a handler writes to. */
class ResponseStream extends Writable {
  constructor(connection, target, highWaterMark) {
    super(highWaterMark === undefined ? {} : { highWaterMark });
    this.connection = connection;
    this.target = target;
    this.contentType = DEFAULT_CONTENT_TYPE;
    // Whether something was written; and whether the platform knows.
    this.begun = false;
    this.sent = false;
  }

  setContentType(contentType) {
    if (this.begun) throw new Error('Cannot set content-type, too late.');
    this.contentType = contentType;
  }

  write(chunk, encoding, callback) {
    this.begin();
    return super.write(asBytes(chunk), encoding, callback);
  }

  end(chunk, encoding, callback) {
    if (typeof chunk === 'function') return super.end(chunk);
    this.begin();
    if (chunk === undefined || chunk === null) return super.end(callback ?? encoding);
    super.write(asBytes(chunk), typeof encoding === 'string' ? encoding : undefined);
    return super.end(callback ?? (typeof encoding === 'function' ? encoding : undefined));
  }

  begin() {
    if (this.begun) return;
    this.begun = true;
    if (typeof this._onBeforeFirstWrite === 'function') this._onBeforeFirstWrite((chunk) => super.write(asBytes(chunk)));
  }

  _write(chunk, encoding, callback) {
    this.send([chunk], callback);
  }

  _writev(chunks, callback) {
    this.send(chunks.map(({ chunk }) => chunk), callback);
  }

  send(chunks, callback) {
    const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    // An empty chunk would be the last one.
    if (length === 0) return callback();
    const { socket } = this.connection;
    socket.cork();
    this.sendHead();
    socket.write(`${length.toString(16)}\r\n`);
    for (const chunk of chunks) socket.write(chunk);
    socket.write('\r\n', callback);
    socket.uncork();
  }

  sendHead() {
    if (this.sent) return;
    this.sent = true;
    this.connection.beginStream(this.target, this.contentType);
  }
}

function asBytes(chunk) {
  if (typeof chunk === 'string' || chunk instanceof Uint8Array) return chunk;
  return JSON.stringify(chunk);
}

/** One event on its way through a handler that streams. */
class StreamedInvocation {
  /** `tools` are those of the bootstrap: what logs and describes errors, and what is to be done at the end. */
  constructor(connection, id, handler, tools) {
    this.connection = connection;
    this.id = id;
    this.handler = handler;
    this.tools = tools;
    this.stream = new ResponseStream(connection, `/invocation/${id}/response`, handler[HIGH_WATER_MARK]);
    this.stream.on('finish', () => this.settle());
    this.returned = false;
    this.failure = null;
    this.settled = false;
  }

  run(event, context) {
    const returned = this.handler(event, this.stream, context);
    if (!returned || typeof returned.then !== 'function') {
      this.fail('Streaming does not support non-async handlers.');
      return;
    }
    returned.then(
      (result) => {
        if (result !== undefined) console.warn('Streaming handlers ignore return values.');
        this.returned = true;
        this.settle();
      },
      (error) => this.fail(error),
    );
  }

  /** Ends the response when the handler is done and all of it was written; the question for the next event goes along. */
  settle() {
    if (this.settled || !this.returned || !this.stream.writableFinished) return;
    this.stream.sendHead();
    this.finish(this.failure, true);
  }

  fail(error) {
    if (this.settled || this.failure) return;
    this.tools.logError('Invoke Error', error);
    this.failure = this.tools.describe(error);
    this.returned = true;
    if (!this.stream.sent) {
      // Nobody has heard anything yet.
      this.settled = true;
      this.tools.done();
      const { errorType } = this.failure;
      this.connection.post(`/invocation/${this.id}/error`, JSON.stringify(this.failure), errorType, true);
    } else if (this.stream.destroyed) {
      this.finish(this.failure, true);
    } else if (this.stream.writableEnded) {
      this.settle();
    } else {
      this.stream.end();
    }
  }

  /** The event loop ran empty. */
  nothingLeft() {
    if (!this.settled && !this.stream.writableFinished) this.fail('Response stream is not finished.');
  }

  /** Ends a response at once, as the process will; false when none has begun. */
  abort(described) {
    if (this.settled || !this.stream.sent) return false;
    this.finish(described, false);
    return true;
  }

  finish(failure, thenNext) {
    this.settled = true;
    this.tools.done();
    this.connection.endStream(failure ? trailers(failure) : '', thenNext);
  }
}

/** The headers of an error that come after a body. */
function trailers(failure) {
  let body = JSON.stringify(failure);
  if (body.length > MAX_ERROR_CHARACTERS) {
    const errorMessage = failure.errorMessage.slice(0, MAX_ERROR_CHARACTERS / 4);
    body = JSON.stringify({ ...failure, errorMessage, trace: [] });
  }
  const type = failure.errorType.replace(/[^\x20-\x7e]/g, '');
  return (
    `Lambda-Runtime-Function-Error-Type: ${type}\r\n` +
    `Lambda-Runtime-Function-Error-Body: ${Buffer.from(body).toString('base64')}\r\n`
  );
}

module.exports = { streamifyResponse, HttpResponseStream, StreamedInvocation };

// What V8 makes of a function's CommonJS files, kept from a deployment to its cold starts, where reading and compiling much
// code would take most of the time. Without a cache, or with one that does not fit, everything is as Node does it.
//
// A cache is one file: what V8 made of each source, one after the other; then an index as JSON, an array of arrays (path,
// UTF-16 units and CRC of the source, offset, length and CRC of what was made of it); then TRAILER_BYTES of numbers: V8's own
// tag for its version and flags, CRC and length of the index, and MAGIC.
'use strict';

const fs = require('fs');
const { Module } = require('module');
const path = require('path');
const v8 = require('v8');
const vm = require('vm');
// Since Node 20.15 and 22.2; older ones do without a cache.
const { crc32 } = require('zlib');

const MAGIC = 0x4c43_4331;
const TRAILER_BYTES = 16;
/** What Node calls the parameters of a module's function. */
const PARAMETERS = ['exports', 'require', 'module', '__filename', '__dirname'];
const WRAPPER = `(function (${PARAMETERS.join(', ')}) { \n});`;
const EXTENSIONS = ['.js', '.cjs'];
/** Files that are compiled at a deployment, bytes of one, bytes of all. */
const MAX_FILES = 10_000;
const MAX_FILE_BYTES = 32 << 20;
const MAX_SOURCE_BYTES = 128 << 20;
/** How much goes to the platform at once. */
const PART_BYTES = 4 << 20;

/** Variables that change how Node compiles, or that ask it to tell about it. */
const CHANGES = ['NODE_OPTIONS', 'NODE_V8_COVERAGE', 'NODE_COMPILE_CACHE'];

/**
 * What comes from a cache, and code that it makes of text, cannot `import()`: V8 forgets whose it is. So a file where that
 * is written, or text other than one literal is made code of, is left to Node.
 */
const BETWEEN = String.raw`(?:\s|/\*(?:[^*]|\*(?!/))*\*/|//.*)*`;
const IMPORTS = [
  new RegExp(String.raw`\bimport\b${BETWEEN}\(`),
  /\beval\b/,
  new RegExp(String.raw`\b(?:Async|Generator|AsyncGenerator)?Function\b${BETWEEN}\((?!\s*(?:"[^"\\]*"|'[^'\\]*')\s*\))`),
];

/** Whether this Node can do it, and nothing asks for something else. */
function isPossible() {
  return crc32 !== undefined && CHANGES.every((name) => process.env[name] === undefined);
}

/** A cache that is open to be read. */
class Cache {
  constructor(fd, index) {
    this.fd = fd;
    this.files = new Map(index.map(([file, ...rest]) => [file, rest]));
  }

  /** `null` for what is no cache, is damaged, or was made by another V8. */
  static open(file) {
    const fd = fs.openSync(file, 'r');
    const size = fs.fstatSync(fd).size;
    const trailer = read(fd, size - TRAILER_BYTES, TRAILER_BYTES);
    const [tag, crc, length, magic] = [0, 4, 8, 12].map((at) => trailer.readUInt32BE(at));
    if (magic === MAGIC && tag === v8.cachedDataVersionTag() >>> 0) {
      const index = read(fd, size - TRAILER_BYTES - length, length);
      if (crc32(index) === crc) return new Cache(fd, JSON.parse(index.toString()));
    }
    fs.closeSync(fd);
    return null;
  }

  /** A module's function; `null` where it has to be compiled. */
  find(content, filename) {
    const entry = this.files.get(filename);
    if (entry === undefined) return null;
    const [units, sourceCrc, offset, length, dataCrc] = entry;
    // V8 looks at the length only, and a loader of the function's own may have changed the source.
    if (content.length !== units || crc32(content) !== sourceCrc) return null;
    const cachedData = read(this.fd, offset, length);
    // V8 trusts what it is given.
    if (crc32(cachedData) !== dataCrc) return null;
    return vm.compileFunction(content, PARAMETERS, { filename, cachedData });
  }
}

function read(fd, offset, length) {
  const bytes = Buffer.allocUnsafe(length);
  if (fs.readSync(fd, bytes, 0, length, offset) !== length) throw new Error('the code cache is cut off');
  return bytes;
}

/** Whether Node's own way of compiling a module is what it was, and nobody wants to know about sources. */
function isUsual(format) {
  return format !== 'module' && !process.sourceMapsEnabled && Module.wrap('') === WRAPPER;
}

/** Takes the place of Node's own; as many frames of it are on the stack, at the same file. */
function makeCompile(native, find, dirname) {
  return function _compile(content, filename, format) {
    const compiled = find(content, filename, format);
    if (compiled === null) return Reflect.apply(native, this, arguments);
    // Node's own makes the function's own `require`.
    const require = native.call(this, 'return require', filename, format);
    if (typeof require !== 'function') return Reflect.apply(native, this, arguments);
    return compiled.call(this.exports, this.exports, require, this, filename, dirname(filename));
  };
}

/** Lets modules start from the cache in `file`, if it fits. */
function use(file) {
  if (!isPossible()) return;
  let cache;
  try {
    cache = Cache.open(file);
  } catch {
    return;
  }
  if (cache === null) return;
  const find = (content, filename, format) => {
    try {
      return isUsual(format) ? cache.find(content, filename) : null;
    } catch {
      return null;
    }
  };
  const make = vm.runInThisContext(`(${makeCompile})`, { filename: 'node:internal/modules/cjs/loader' });
  Module.prototype._compile = make(Module.prototype._compile, find, path.dirname);
}

/** The CommonJS files beneath a folder, with the bytes that they have; links are left to what they lead to. */
function* sources(folder) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(file);
    else if (entry.isFile() && EXTENSIONS.includes(path.extname(file))) yield [file, fs.statSync(file).size];
  }
}

/** Compiles, and runs nothing of it; `null` for what is no CommonJS. */
function compiled(file) {
  // As Node's loader reads it.
  const content = fs.readFileSync(file, 'utf8');
  try {
    if (IMPORTS.some((pattern) => pattern.test(content))) return null;
    const { cachedData } = vm.compileFunction(content, PARAMETERS, { filename: file, produceCachedData: true });
    return cachedData === undefined ? null : { content, data: cachedData };
  } catch {
    return null;
  }
}

/** The parts of a cache of all files beneath a folder; none when there is nothing to keep. */
function* parts(folder) {
  const index = [];
  let [offset, source, waiting, part] = [0, 0, 0, []];
  for (const [file, bytes] of sources(folder)) {
    if (index.length === MAX_FILES) break;
    if (bytes > MAX_FILE_BYTES || source + bytes > MAX_SOURCE_BYTES) continue;
    source += bytes;
    const made = compiled(file);
    if (made === null) continue;
    const { content, data } = made;
    index.push([file, content.length, crc32(content), offset, data.length, crc32(data)]);
    offset += data.length;
    waiting += data.length;
    part.push(data);
    if (waiting < PART_BYTES) continue;
    yield Buffer.concat(part);
    [waiting, part] = [0, []];
  }
  if (index.length === 0) return;
  const text = Buffer.from(JSON.stringify(index));
  const trailer = Buffer.alloc(TRAILER_BYTES);
  [v8.cachedDataVersionTag() >>> 0, crc32(text), text.length, MAGIC].forEach((n, at) => trailer.writeUInt32BE(n, 4 * at));
  yield Buffer.concat([...part, text, trailer]);
}

/** Makes a cache of the function's code, and gives it to the platform through `send` (a piece, then a call back). */
function make(folder, send) {
  const all = isPossible() ? pieces(folder) : [].values();
  const next = () => {
    const { done, value } = all.next();
    send(done ? Buffer.alloc(0) : value, done ? () => process.exit(0) : next);
  };
  next();
}

/** The parts again, none larger than the platform takes. */
function* pieces(folder) {
  for (const part of parts(folder)) {
    for (let at = 0; at < part.length; at += PART_BYTES) yield part.subarray(at, at + PART_BYTES);
  }
}

module.exports = { use, make };

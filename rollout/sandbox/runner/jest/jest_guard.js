// What code under test must not change, because verdicts are made of it: run in every realm before that code.
//
// In: nothing. Out: three functions. `lock` makes the functions of the language and its global names constant, but lets
// objects that inherit them have their own. `guard` makes `expect` and the words of a test file constant and lets no
// matcher accept a value that says of itself that it equals everything. `canary` makes tests that have to fail.
(() => {
  'use strict';
  const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf } = Object;
  const { ownKeys, apply } = Reflect;
  const isArray = Array.isArray;
  const Seen = WeakSet;

  // Functions of these are looked up on the constructor itself.
  const CONSTRUCTORS = ['Object', 'Function', 'Array', 'String', 'Number', 'Boolean', 'Symbol', 'BigInt', 'Map', 'Set',
    'WeakMap', 'WeakSet', 'Promise', 'Proxy', 'RegExp', 'Error', 'TypeError', 'RangeError', 'SyntaxError', 'Reflect'];
  const FUNCTIONS = ['isNaN', 'isFinite', 'parseInt', 'parseFloat'];
  // Assigned by honest code to objects of its own, so an inherited constant must not stand in the way.
  const INHERITED = ['Object', 'Function', 'Map', 'Set', 'WeakMap', 'WeakSet', 'Promise', 'RegExp', 'Error', 'Symbol',
    'Number', 'Boolean', 'BigInt'];
  // The node of a value, at most so many of them and so deep, is looked at for signs of equality with everything.
  const NODES = 100000, DEPTH = 200;

  const LOOKS = [1, 2, 3, 4];

  const constant = (holder, key) => {
    const found = getOwnPropertyDescriptor(holder, key);
    if (found && found.configurable && 'value' in found) {
      defineProperty(holder, key, { ...found, writable: false, configurable: false });
    }
  };

  const inherited = (holder, key) => {
    const found = getOwnPropertyDescriptor(holder, key);
    if (!found || !found.configurable || !('value' in found)) return;
    const value = found.value;
    defineProperty(holder, key, {
      configurable: false,
      enumerable: found.enumerable,
      get: () => value,
      set(own) {
        if (this === holder) throw new TypeError(`\`${String(key)}\` is constant while tests run`);
        defineProperty(this, key, { value: own, writable: true, enumerable: true, configurable: true });
      },
    });
  };

  const functionsOf = holder => ownKeys(holder).filter(key => {
    const found = getOwnPropertyDescriptor(holder, key);
    return key !== 'constructor' && typeof found.value === 'function';
  });

  const lock = global => {
    const iterators = [[][Symbol.iterator](), new Map().entries(), new Set().values(), ''[Symbol.iterator](),
      'a'.matchAll(/a/g), (function* () {})()];
    for (const iterator of iterators) {
      for (let proto = getPrototypeOf(iterator); proto && proto !== Object.prototype; proto = getPrototypeOf(proto)) {
        functionsOf(proto).forEach(key => constant(proto, key));
      }
    }
    for (const name of CONSTRUCTORS) {
      const made = global[name];
      // How a stack is told belongs to whoever wants to tell it.
      functionsOf(made).filter(key => key !== 'prepareStackTrace').forEach(key => constant(made, key));
      const proto = made.prototype;
      if (proto) {
        for (const key of functionsOf(proto)) {
          const plain = typeof key === 'symbol' || !INHERITED.includes(name);
          (plain ? constant : inherited)(proto, key);
        }
      }
      constant(global, name);
    }
    FUNCTIONS.forEach(name => constant(global, name));
  };

  // Asked more than once, because a getter or a proxy may answer otherwise the next time.
  const equalsAll = value => {
    try {
      return 'asymmetricMatch' in value || LOOKS.some(() => value.asymmetricMatch);
    } catch {
      return false;
    }
  };

  // What a getter says now; it may answer otherwise the next time, which impossible tests show.
  const look = (value, key) => {
    try {
      return value[key];
    } catch {
      return undefined;
    }
  };

  const chameleon = (value, depth, seen) => {
    if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false;
    if (seen.has(value)) return false;
    // Who has more to hide than can be looked at is not believed.
    if (seen.count > NODES || depth > DEPTH) return true;
    seen.add(value);
    seen.count += 1;
    if (equalsAll(value)) return true;
    if (value instanceof Map || value instanceof Set) {
      for (const item of value) if (chameleon(item, depth + 1, seen)) return true;
    }
    for (const key of ownKeys(value)) {
      const found = getOwnPropertyDescriptor(value, key);
      if (!found) continue;
      // Of what a mock function remembers, that it was called by is the whole world.
      const isMock = key === 'mock' && value._isMockFunction === true;
      const parts = isMock ? [value.mock.calls, value.mock.results] : ['value' in found ? found.value : look(value, key)];
      if (parts.some(part => chameleon(part, depth + 1, seen))) return true;
    }
    return false;
  };

  const guard = words => {
    const { expect } = words;
    const held = globalThis[Symbol.for('$$jest-matchers-object')];
    const internal = Symbol.for('$$jest-internal-matcher');
    for (const name of ownKeys(held.matchers)) {
      const matcher = held.matchers[name];
      const careful = function (received, ...expected) {
        const seen = new Seen();
        seen.count = 0;
        if (chameleon(received, 0, seen)) throw new Error('the value that was received says that it equals everything');
        return apply(matcher, this, [received, ...expected]);
      };
      defineProperty(careful, 'name', { value: name });
      defineProperty(careful, internal, { value: matcher[internal] });
      defineProperty(held.matchers, name, { value: careful, enumerable: true, writable: false, configurable: false });
    }
    defineProperty(held, 'matchers', { writable: false, configurable: false });
    for (const part of [expect, expect.not, expect.resolves, expect.rejects]) {
      if (part) ownKeys(part).forEach(key => constant(part, key));
    }
    for (const name of ownKeys(words)) {
      const word = words[name];
      if (typeof word === 'function') ownKeys(word).forEach(key => constant(word, key));
      if (globalThis[name] === word) constant(globalThis, name);
    }
  };

  // Each has to throw. What they compare cannot be told from what a test compares.
  const shapes = (number, text) => [
    () => expect(number).toBe(number + 1),
    () => expect({ a: [number, { text }] }).toEqual({ a: [number, { text: text + '!' }] }),
    () => expect([number]).toStrictEqual([number, undefined]),
    () => expect({ number, text }).toMatchObject({ number: number - 1 }),
    () => expect([number, text]).toContain(number + 1),
    () => expect([{ number }]).toContainEqual({ number: text }),
    () => expect([number]).toHaveLength(2),
    () => expect({ number }).toHaveProperty('number', text),
    () => expect(number).toBeCloseTo(number + 1),
    () => expect(number).toBeGreaterThan(number),
    () => expect(number).toBeLessThanOrEqual(number - 1),
    () => expect(text).toMatch(text + '!'),
    () => expect(text).toBeUndefined(),
    () => expect(undefined).toBeDefined(),
    () => expect(0).toBeTruthy(),
    () => expect(text).toBeFalsy(),
    () => expect(text).toBeNull(),
    () => expect(number).toBeNaN(),
    () => expect(text).toBeInstanceOf(Map),
    () => expect(() => number).toThrow(),
    () => expect(() => { throw new TypeError(text); }).toThrow(RangeError),
    () => expect(number).not.toBe(number),
    () => expect({ number }).not.toEqual({ number }),
    () => { throw new Error(text); },
  ];

  const canary = (number, text, late) => {
    const all = shapes(number, text);
    const last = all[number % all.length];
    const each = () => all.every(shape => {
      try {
        shape();
        return false;
      } catch {
        return true;
      }
    });
    // One that returns has found a shape that did not throw.
    if (!late) return () => { if (each()) last(); };
    return async () => {
      await expect(Promise.resolve(number)).rejects.toBe(number).then(() => { all.push(() => {}); }, () => {});
      if (each()) await expect(Promise.resolve(text)).resolves.toBe(text + '!');
    };
  };

  return { lock, guard, canary };
})();

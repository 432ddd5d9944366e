// What this phone keeps, in IndexedDB: its enrolment with the key that cannot be taken out, what was shown last, and
// the queue of answers. An answer is written here before anything is sent, and leaves only when the server has it or
// the client deletes it.

const VERSION = 1;

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function committed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    // Each error of a request in it comes to this.
    transaction.onabort = () => reject(transaction.error);
  });
}

export const idOf = (device) => (device ? device.deviceId : null);

// One database a clinic: two clinics' pages in one browser never see each other's answers.
async function opened(clinic) {
  const opening = indexedDB.open(`neap-${clinic}`, VERSION);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore("kept");
    opening.result.createObjectStore("queue", { keyPath: "id" });
  };
  const database = await settled(opening);
  // Another tab with a newer version must not wait for this one.
  database.onversionchange = () => database.close();
  return database;
}

export async function openStore(clinic) {
  let database = await opened(clinic);
  // Browsers close a database under an open page, as where the page was long out of sight, and delete it where somebody
  // clears what pages keep: it is opened anew. Nobody's `catch` is passed by, as nothing is thrown at once.
  const within = async (wanted, act) => {
    let transaction;
    try {
      transaction = database.transaction(...wanted);
    } catch {
      database = await opened(clinic);
      transaction = database.transaction(...wanted);
    }
    return act(transaction);
  };
  const read = (name, act) => within([name], (transaction) => settled(act(transaction.objectStore(name))));
  // "strict": the promise settles when the answer is on the disk, not only in the system's buffers.
  const change = (names, act) =>
    within([names, "readwrite", { durability: "strict" }], (transaction) => {
      act(transaction);
      return committed(transaction);
    });
  const write = (name, act) => change(name, (transaction) => act(transaction.objectStore(name)));

  const kept = (key) => read("kept", (store) => store.get(key));
  // Writes only while this phone is connected as that device: another tab may have connected it anew meanwhile.
  const whileStill = (deviceId, act) =>
    write("kept", (store) => {
      store.get("device").onsuccess = ({ target }) => {
        if (idOf(target.result) !== deviceId) return;
        try {
          act(store);
        } catch {
          store.transaction.abort();
        }
      };
    });

  const own = {
    // A page is one device's from its loading to its end, and what it keeps is that one's.
    deviceId: idOf(await kept("device")),
    isReplaced: async () => idOf(await kept("device")) !== own.deviceId,
    kept,
    keep: (key, value) => whileStill(own.deviceId, (store) => store.put(value, key)),
    forget: (key) => whileStill(own.deviceId, (store) => store.delete(key)),
    whileStill,
    // What is the phone's, whoever it is connected for.
    change: (act) => write("kept", act),
    // UUIDv7 ids sort by time, so this is the order of answering.
    queue: () => read("queue", (store) => store.getAll()),
    // `spend` takes away what the answer was made of, at one stroke with it.
    enqueue: (answer, spend = () => {}) =>
      change(["queue", "kept"], (transaction) => {
        transaction.objectStore("queue").put(answer);
        const store = transaction.objectStore("kept");
        store.get("device").onsuccess = ({ target }) => {
          if (idOf(target.result) === own.deviceId) spend(store);
        };
      }),
    drop: (id) => write("queue", (store) => store.delete(id)),
  };
  return own;
}

// Where a browser keeps nothing: the page can be read and hidden, and no answer is taken.
const nothing = async () => {};
export const NO_STORE = {
  deviceId: null,
  isReplaced: async () => false,
  kept: nothing,
  keep: nothing,
  change: nothing,
  forget: nothing,
  queue: async () => [],
};

// UUID version 7 (RFC 9562): made once when the answer is saved, so that however often it is sent it is stored once.
export function newId(milliseconds) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let index = 0; index < 6; index += 1) {
    bytes[index] = Math.floor(milliseconds / 2 ** (8 * (5 - index))) % 256;
  }
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [8, 12, 16, 20, 32].map((end, part) => digits.slice([0, 8, 12, 16, 20][part], end)).join("-");
}

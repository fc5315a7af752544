/** A file's content in memory: pages that are made when written to, so that growing copies nothing and holes cost nothing. */
const pageBytes = 64 * 1024;
const pageBytesMin = 256;

export class PagedBytes {
  #pages: (Buffer | undefined)[] = [];
  #sizeBytes = 0;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Returns the bytes read: fewer than asked only at the end. */
  read(target: Buffer, position: number): number {
    const count = Math.max(0, Math.min(target.length, this.#sizeBytes - position));
    for (let done = 0; done < count;) {
      const at = (position + done) % pageBytes;
      const length = Math.min(count - done, pageBytes - at);
      const page = this.#pages[Math.floor((position + done) / pageBytes)];
      const copied = page === undefined || at >= page.length ? 0 : page.copy(target, done, at, at + length);
      target.fill(0, done + copied, done + length);
      done += length;
    }
    return count;
  }

  write(bytes: Buffer, position: number): void {
    for (let done = 0; done < bytes.length;) {
      const at = (position + done) % pageBytes;
      const length = Math.min(bytes.length - done, pageBytes - at);
      bytes.copy(this.#page(Math.floor((position + done) / pageBytes), at + length), at, done, done + length);
      done += length;
    }
    if (bytes.length > 0) this.#sizeBytes = Math.max(this.#sizeBytes, position + bytes.length);
  }

  /** Cuts, or extends with zeros. */
  truncate(sizeBytes: number): void {
    if (sizeBytes < this.#sizeBytes) {
      this.#pages.length = Math.min(this.#pages.length, Math.ceil(sizeBytes / pageBytes));
      // What is cut must not come back when the file grows again.
      if (sizeBytes % pageBytes > 0) {
        const page = this.#pages[Math.floor(sizeBytes / pageBytes)];
        page?.fill(0, Math.min(page.length, sizeBytes % pageBytes));
      }
    }
    this.#sizeBytes = sizeBytes;
  }

  /** Takes on another's content. */
  become(other: PagedBytes): void {
    this.#pages = other.#pages.map((page) => (page === undefined ? undefined : Buffer.from(page)));
    this.#sizeBytes = other.#sizeBytes;
  }

  /** A page is no larger than what has been written to it asks for, so that small files stay small. */
  #page(number: number, neededBytes: number): Buffer {
    const page = this.#pages[number];
    if (page !== undefined && page.length >= neededBytes) return page;
    let length = page?.length ?? pageBytesMin;
    while (length < neededBytes) length *= 2;
    const larger = Buffer.alloc(length);
    page?.copy(larger);
    this.#pages[number] = larger;
    return larger;
  }
}

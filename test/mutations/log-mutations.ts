/** Bugs that somebody might make in the log, each as one exact change of its text. */
import type { Mutation, NamedTest, Seeds } from './mutation.ts';

const log = (name: string, file: string, from: string, to: string): Mutation => ({
  name,
  file: `broker/log/${file}.ts`,
  from,
  to,
  hunts: [{ kind: 'seeds', simulator: 'log', ...focusOf(name) }],
});

function focusOf(name: string): Pick<Seeds, 'focus'> {
  if (/swap|cleaning/.test(name)) return { focus: 'clean' };
  if (/CRC|base offsets|terms|below the floor/.test(name)) return { focus: 'rot' };
  if (/index files without/.test(name)) return { focus: 'lose-indexes' };
  if (/written anew|failed sync/.test(name)) return { focus: 'io-error' };
  if (/journal/.test(name)) return { focus: 'journal' };
  if (/killed process|uncommitted/.test(name)) return { focus: 'truncate' };
  if (/taken for a fault/.test(name)) return { focus: 'clean' };
  return {};
}

function test(file: string, name: string): readonly NamedTest[] {
  return [{ kind: 'test', file, name }];
}

export const logMutations: readonly Mutation[] = [
  log(
    'recovery: a batch with a wrong CRC is taken',
    'recovery/log-checker',
    "    if (!verifyBatchCrc(buffer, at)) return 'the CRC does not fit the batch';\n",
    '',
  ),
  log(
    'recovery: base offsets are not compared',
    'recovery/log-checker',
    '    if (baseOffset !== this.endOffset) return `the batch does not begin at offset ${this.endOffset}`;\n',
    '',
  ),
  log(
    'recovery: terms are not compared',
    'recovery/log-checker',
    "    } else if (term !== lastTerm) return `the batch's term is ${term}, not ${lastTerm}`;\n",
    '    }\n',
  ),
  log(
    'recovery: the torn tail stays',
    'recovery/recovery',
    '    if (fault !== undefined) await file.truncate(active.writtenBytes);\n',
    '',
  ),
  log(
    'recovery: nothing is written anew after a failed sync',
    'recovery/recovery',
    '    await this.#writeAnew(file, active);\n',
    '',
  ),
  log(
    'recovery: what was found is not synced',
    'recovery/recovery',
    '    await this.#writeAnew(file, active);\n    await file.sync();\n',
    '    await this.#writeAnew(file, active);\n',
  ),
  log(
    'recovery: what a killed process had cut is not synced',
    'recovery/recovery',
    '      // knows. One that died while it cut the log may have left index entries for what is gone.\n      await file.sync();\n',
    '',
  ),
  log(
    'recovery: damage below the floor is cut',
    'recovery/recovery',
    '    return isFollowed || isForeign || endsEarly || this.#found.damaged.length > 0;',
    '    return isFollowed && isForeign && endsEarly;',
  ),
  {
    ...log(
      "recovery: the name of a new log's directory is not synced",
      'recovery/recovery',
      "    await disk.syncDirectory(directory.slice(0, Math.max(1, directory.lastIndexOf('/'))));\n",
      '',
    ),
    hunts: test(
      'test/unit/log/failure.test.ts',
      'the name of a directory that a killed process made is durable before anything in it counts',
    ),
  },
  log(
    'leftovers: index files without a segment stay',
    'recovery/recovery-leftovers',
    '    if (base === undefined || bases.has(Number(base))) kept.push(name);\n    else await disk.remove(`${directory}/${name}`);',
    '    kept.push(name);\n    if (base === undefined) continue;',
  ),
  log(
    'leftovers: temporary files stay',
    'recovery/recovery-leftovers',
    "  return pairPattern.test(name) || name.endsWith('.tmp');",
    '  return pairPattern.test(name);',
  ),
  log(
    'leftovers: a swap that had begun is not finished',
    'recovery/recovery-leftovers',
    '      if (!name.endsWith(`.log${swapSuffix}`)) continue;',
    '      if (name !== undefined) continue;',
  ),
  log(
    'leftovers: old segments stay beside the one swapped in',
    'recovery/recovery-leftovers',
    '    if (base >= header.baseOffset && base < header.endOffset) await disk.remove(`${directory}/${old}`);',
    '    if (base === header.baseOffset) await disk.remove(`${directory}/${old}`);',
  ),
  log(
    'ack: flushed moves when a batch is written',
    'log-writer',
    '    this.#writtenEndOffset = run.endOffsets.at(-1)!;\n    this.#maybeSync();\n',
    '    this.#writtenEndOffset = run.endOffsets.at(-1)!;\n    this.#moveFlushed(endIndex);\n    this.#maybeSync();\n',
  ),
  log(
    'ack: a failed sync counts as a sync',
    'log-writer',
    "    if (error !== undefined) {\n      this.#fail('sync', error);\n    } else {\n      const { endIndex, bytes, changes } = this.#syncing;",
    '    {\n      const { endIndex, bytes, changes } = this.#syncing;',
  ),
  log(
    'roll: the next segment begins before this one is synced',
    'log-writer',
    "      await this.#reached('flushed', this.#writtenEndIndex);\n",
    '',
  ),
  log(
    'roll: index files are not completed',
    'recovery/checkpoints',
    '      await this.#indexes.complete(from);\n      const file',
    '      const file',
  ),
  log(
    'roll: the recovery point lags in the old segment',
    'recovery/checkpoints',
    '      try {\n        await write({});\n',
    '      try {\n        void write;\n',
  ),
  log(
    'checkpoint: index files are written without a sync',
    'segments/segment-files',
    '      // Without new entries too: a process that died may have cut the file without a sync.\n      await file.sync();\n',
    '',
  ),
  {
    ...log(
      'indexes: made anew in place, not whole or not at all',
      'segments/segment-files',
      '    await replaceFile(this.#disk, path.slice(0, slash), path.slice(slash + 1), bytes);',
      "    const file = await this.#disk.open(path, 'create');\n    await file.truncate(0);\n    await file.write([bytes.subarray(0, 9)], 0);\n    await file.write([bytes.subarray(9)], 9);\n    await file.sync();\n    await file.close();\n    void replaceFile;\n    void slash;",
    ),
    hunts: test('test/unit/log/index-files.test.ts', 'are whole or not there, wherever that is broken off'),
  },
  {
    ...log(
      'indexes: the size of a file vouches for its entry where bytes follow',
      'segments/segment-files',
      '  if (isSingle && known.isAtEnd && crcOf',
      '  if (isSingle && crcOf',
    ),
    hunts: test(
      'test/unit/log/index-files.test.ts',
      'of a log with one entry are read, not taken for what the state says of one of their size',
    ),
  },
  {
    ...log(
      'indexes: nobody looks whether those of a small log are there',
      'segments/segment-files',
      '    return (await disk.sizeOf(segment.timeIndexPath)) === timeEntryBytes ? single : undefined;',
      '    return single;',
    ),
    hunts: test(
      'test/unit/log/index-files.test.ts',
      'of a log with one entry are there before the second is appended to them',
    ),
  },
  log(
    'truncation: the floor is not lowered first',
    'truncation',
    '  await floor?.lower({ term: books.table.lastTerm, endIndex });\n',
    '',
  ),
  log(
    'truncation: the file is not cut before new bytes',
    'truncation',
    '  await file.truncate(position);\n  await file.sync();\n',
    '  await file.sync();\n',
  ),
  log(
    'truncation: the cut is not synced',
    'truncation',
    '  await file.truncate(position);\n  await file.sync();\n',
    '  await file.truncate(position);\n',
  ),
  log(
    'truncation: the recovery point does not step back',
    'truncation',
    '    checkpoints.restart(cut, { ...point, ...unknown });\n    await write({ fullSegments });\n',
    '    checkpoints.restart(cut, { ...point, ...unknown });\n    void write;\n    void fullSegments;\n',
  ),
  // That the recovery point in a truncation tells no sizes of index files is no longer needed, so no bug can be planted there: sizes
  // count with the CRC of what the files hold, and the one entry whose file is not read is written only where a segment ends.
  {
    ...log(
      'truncation: segments that are to be cut look as they did',
      'truncation',
      '  for (const doomed of segments.all.slice(segments.all.indexOf(segment))) doomed.isDoomed = true;\n',
      '',
    ),
    hunts: test(
      'test/unit/log/compaction/compacted-commit-log.test.ts',
      'is called off, not refused, when segments go or are cut at any moment of it',
    ),
  },
  log(
    'truncation: no sync after segments are removed',
    'truncation',
    '    if (await disk.exists(path)) await disk.remove(path);\n  }\n  await disk.syncDirectory(directory);\n',
    "    if (kind !== 'log' && (await disk.exists(path))) await disk.remove(path);\n  }\n  void directory;\n",
  ),
  log(
    'log start: files go before it is written',
    'log-upkeep',
    '      await this.#orGiveUp(() =>\n        write({ start, logStartOffset, fullSegments: books.segments.full.slice(count) }),\n      );\n',
    '      await this.#deletion.rename(all.slice(0, count));\n      await this.#orGiveUp(() =>\n        write({ start, logStartOffset, fullSegments: books.segments.full.slice(count) }),\n      );\n',
  ),
  log(
    'log start: it is not written at all',
    'log-upkeep',
    '        write({ start, logStartOffset, fullSegments: books.segments.full.slice(count) }),\n',
    '        Promise.resolve(void write),\n',
  ),
  {
    ...log(
      'log start: need not be durable',
      'log-upkeep',
      '      if (writer.flushedEndIndex < books.table.indexOfOffset(offset)) await writer.flushed();\n',
      '      void writer;\n',
    ),
    hunts: test('test/unit/log/upkeep.test.ts', 'is above what can be lost: all below it is durable first'),
  },
  {
    ...log(
      'retention: uncommitted Raft-only entries go along',
      'log-upkeep',
      '        const isBelow = next.baseOffset <= logStartOffset && next.startIndex <= limitIndex;',
      '        const isBelow = next.baseOffset <= logStartOffset;\n        void limitIndex;',
    ),
    hunts: test(
      'test/unit/log/upkeep.test.ts',
      'stops at a segment that ends with entries of Raft which are not committed',
    ),
  },
  log(
    'retention: one segment too many by size',
    'retention',
    '      if (excessBytes < segment.appendedBytes) return false;',
    '      if (excessBytes <= 0) return false;',
  ),
  log(
    'swap: the old segments go before the new one is durable',
    'log-upkeep',
    '      await this.#begin(cleaned, writeState);\n      for (const segment of old) segment.isDoomed = true;\n      await this.#orFail(async () => {\n        await this.#deletion.rename(old);\n',
    '      for (const segment of old) segment.isDoomed = true;\n      await this.#deletion.rename(old);\n      await this.#begin(cleaned, writeState);\n      await this.#orFail(async () => {\n',
  ),
  log(
    'swap: the .log gets its final name first',
    'segments/segment-swap',
    "  for (const kind of segmentFiles) {\n    if (kind === 'log') await disk.syncDirectory(directory);\n    const path = segmentPath(directory, baseOffset, kind);\n    if (kind ===",
    '  for (const kind of segmentFiles.toReversed()) {\n    const path = segmentPath(directory, baseOffset, kind);\n    if (kind ===',
  ),
  {
    ...log(
      'swap: no sync before the .log is renamed',
      'segments/segment-swap',
      "    if (kind === 'log') await disk.syncDirectory(directory);\n    const path = segmentPath(directory, baseOffset, kind);\n    if (kind ===",
      '    const path = segmentPath(directory, baseOffset, kind);\n    if (kind ===',
    ),
    hunts: test(
      'test/unit/log/swap.test.ts',
      'has its indexes under their names durably before its .log gets one',
    ),
  },
  // That the directory is synced when the old names have gone shows in nothing: the sync before the new `.log` gets its name covers
  // them, too, and until then a recovery removes all that `.log.swap` stands for. So the bug is that they do not go.
  log(
    'swap: old segments keep their names',
    'log-upkeep',
    '        await this.#deletion.rename(old);\n        await finishSwap',
    '        await this.#deletion.rename(old.slice(0, 1));\n        await finishSwap',
  ),
  log(
    'cleaning: the new segment is not synced',
    'compaction/cleaned-segment',
    '    await this.#file.write([encodeCleanedHeader(span, this.#cover)], 0);\n    await this.#file.sync();\n',
    '    await this.#file.write([encodeCleanedHeader(span, this.#cover)], 0);\n',
  ),
  log(
    'cleaning: the last value of a key goes',
    'compaction/record-selection',
    '    return offset >= keys.latestOffset(cursor.buffer, cursor.keyStart, cursor.keyLength);',
    '    return offset > keys.latestOffset(cursor.buffer, cursor.keyStart, cursor.keyLength);',
  ),
  // Not in the selection of records, whose own look at the end of the map is for nothing: the map ends between batches, and those
  // above it are copied unread.
  log(
    'cleaning: values above the map of keys go',
    'compaction/batch-cleaner',
    '>= this.#rules.mapEndOffset) {\n      this.#copy(batch);\n',
    '>= this.#rules.mapEndOffset) {\n      this.#takeWithoutRecords(batch);\n',
  ),
  {
    ...log(
      'cleaning: the header of a cleaned segment is not checked',
      'recovery/log-checker',
      '    if (this.#cover.batchCount !== header.batchCount || this.#cover.crc !== header.crc)',
      '    if (this.#cover.batchCount > 1e9)',
    ),
    hunts: test('test/unit/log/swap.test.ts', 'tells of any bit that flips in it, CRC or not'),
  },
  {
    ...log(
      'cleaning: Raft-only entries that are not committed go along',
      'compaction/cleanable-range',
      '    if (endsUncommitted(log, limits, segment, full[place + 1])) break;\n',
      '    void endsUncommitted;\n    void place;\n',
    ),
    hunts: test(
      'test/unit/log/compaction/compacted-commit-log.test.ts',
      'leaves a segment alone that ends with entries of Raft which are not committed',
    ),
  },
  {
    ...log(
      'cleaning: segments that go meanwhile are taken for a fault',
      'compaction/cleaning',
      '      if (segments.every(({ isCurrent }) => isCurrent)) throw error;\n',
      '      if (segments.length > 0) throw error;\n',
    ),
    hunts: test(
      'test/unit/log/compaction/compacted-commit-log.test.ts',
      'is called off, not failed, when a segment goes while its file is being opened',
    ),
  },
  {
    ...log(
      'floors: the name of their file is synced by its maker only',
      'sync/durable-floors',
      '    // Where it was there, too: a process that was killed may have made it.\n    await disk.syncDirectory(directory);\n',
      '',
    ),
    hunts: test(
      'test/unit/log/sync/durable-floors.test.ts',
      'has its name made durable also where the process that made it was killed before',
    ),
  },
  log(
    'floors: raised before the sync',
    'commit-log',
    '    const { flushedEndIndex } = this.#parts.writer;\n    if (flushedEndIndex > this.#parts.books.table.start.index) {',
    '    const flushedEndIndex = this.#parts.writer.writtenEndIndex;\n    if (flushedEndIndex > this.#parts.books.table.start.index) {',
  ),
  {
    name: 'replica-state: renamed into place before it is synced',
    file: 'platform/whole-files.ts',
    from: '    await file.write([bytes], 0);\n    await file.sync();\n',
    to: '    await file.write([bytes], 0);\n',
    hunts: [{ kind: 'seeds', simulator: 'log' }],
  },
  {
    name: 'replica-state: its new name is not synced',
    file: 'platform/whole-files.ts',
    from: '  await disk.rename(temporary, `${directory}/${name}`);\n  await disk.syncDirectory(directory);\n',
    to: '  await disk.rename(temporary, `${directory}/${name}`);\n',
    hunts: [{ kind: 'seeds', simulator: 'log' }],
  },
  {
    ...log(
      'journal: a frame counts before it is synced',
      'sync/sync-journal',
      '      await file.write([frame], half + position);\n      await file.sync();\n',
      '      await file.write([frame], half + position);\n',
    ),
    hunts: test(
      'test/unit/log/sync/sync-journal.test.ts',
      'takes few syncs, of the journal, and is there after the segments have lost it',
    ),
  },
  {
    ...log(
      'journal: what is void is replayed',
      'sync/sync-journal-replay',
      '      if (frame.number <= (voidUpTo.get(record.name) ?? 0)) continue;\n',
      '',
    ),
    hunts: test(
      'test/unit/log/journal-removals.test.ts',
      'a log is not made anew under a name whose old records a start would write into it',
    ),
  },
  {
    ...log(
      'journal: what is replayed is not synced',
      'sync/sync-journal-replay',
      '      await file.sync();\n      this.#files++;',
      '      this.#files++;',
    ),
    hunts: test(
      'test/unit/log/sync/sync-journal.test.ts',
      'is in the segments for good once it is replayed, also where the machine stops before a log is opened',
    ),
  },
  {
    ...log(
      'damage: a voter goes by a floor that is behind',
      'recovery/recovery',
      '    if (reached.endIndex <= this.#floor.endIndex) return;\n',
      '    if (reached.endIndex > 0) return;\n',
    ),
    hunts: test(
      'test/unit/log/recovery/damage-extent.test.ts',
      'knows how far it reached, whichever bit is wrong',
    ),
  },
  {
    ...log(
      'damage: what a recovery point vouches for is not checked where it is read again',
      'reading/header-scan',
      'verifyBatchCrc(batch.buffer, batch.at)',
      'verifyBatchCrc(batch.buffer, batch.at) || from >= 0',
    ),
    hunts: test(
      'test/unit/partition/open-log.test.ts',
      'is damaged where any bit of that has rotted, and keeps what is before it',
    ),
  },
];

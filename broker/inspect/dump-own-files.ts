/** Prints the files that Kafka does not have: replica-state, votes, floors, the journal, and the small text files. */
import { readFloors } from '../log/sync/durable-floors.ts';
import { decodeReplacement } from '../log/log-replacement.ts';
import { decodeReplicaState } from '../log/recovery/replica-state-file.ts';
import { decodeHeaders, halvesPosition } from '../log/sync/sync-journal-format.ts';
import { readVotes } from '../partition/vote-records.ts';
import type { DumpPrinter } from './dump.ts';
import type { InspectedFile } from './inspected-files.ts';

export function dumpOwnFile(file: InspectedFile, bytes: Buffer, printer: DumpPrinter): void {
  switch (file.kind) {
    case 'replica-state':
      dumpReplicaState(file, bytes, printer);
      return;
    case 'replacement':
      dumpReplacement(file, bytes, printer);
      return;
    case 'votes':
      dumpVotes(file, bytes, printer);
      return;
    case 'floors':
      dumpFloors(file, bytes, printer);
      return;
    case 'journal':
      dumpJournal(file, bytes, printer);
      return;
    default:
      for (const line of bytes.toString('utf8').split('\n')) {
        const equals = /[=:]/.exec(line)?.index ?? -1;
        if (equals < 0) continue;
        const [name, value] = [line.slice(0, equals).trim(), line.slice(equals + 1).trim()];
        printer.extra('property', { name, value });
      }
  }
}

function dumpReplicaState({ path }: InspectedFile, bytes: Buffer, printer: DumpPrinter): void {
  const state = decodeReplicaState(bytes);
  if (state === undefined) {
    printer.fault({ file: path, position: 0, reason: 'this is no whole state: its CRC or size is wrong' });
    return;
  }
  const { start, entries } = state.table;
  printer.extra('logStart', { offset: start.offset, index: start.index, termBefore: start.term });
  const { totals, ...point } = state.point;
  printer.extra('recoveryPoint', { ...point, ...totals });
  for (const { kind, index, offset, term, payload } of entries)
    printer.extra('raftOnly', { kind, term, index, offset, payloadBytes: payload.length });
}

function dumpReplacement({ path }: InspectedFile, bytes: Buffer, printer: DumpPrinter): void {
  const replacement = decodeReplacement(bytes);
  if (replacement === undefined) {
    printer.fault({ file: path, position: 0, reason: 'this is no whole replacement: its CRC is wrong' });
    return;
  }
  printer.extra('floor', { ...replacement.floor });
  for (const name of replacement.files) printer.extra('file', { name });
}

function dumpVotes({ path }: InspectedFile, bytes: Buffer, printer: DumpPrinter): void {
  const { votes, moves, faults } = readVotes(bytes);
  for (const { group, state } of votes) printer.extra('vote', { ...group, ...state });
  for (const { group, movedTo, number } of moves) printer.extra('voterMove', { ...group, movedTo, number });
  for (const { position, reason } of faults) printer.fault({ file: path, position, reason });
}

function dumpFloors({ path }: InspectedFile, bytes: Buffer, printer: DumpPrinter): void {
  const { floors, damagedSlots } = readFloors(bytes);
  for (const { group, floor } of floors) printer.extra('floor', { ...group, ...floor });
  for (const position of damagedSlots)
    printer.fault({ file: path, position, reason: 'neither copy of the slot is whole' });
}

function dumpJournal({ path }: InspectedFile, bytes: Buffer, printer: DumpPrinter): void {
  const header = decodeHeaders(bytes.subarray(0, halvesPosition));
  if (header === undefined) {
    printer.fault({ file: path, position: 0, reason: 'neither copy of the header is whole' });
    return;
  }
  printer.extra('journal', header === 'empty' ? { state: 'empty' } : { ...header });
}

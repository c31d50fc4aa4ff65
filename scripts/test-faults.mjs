// Runs the tests of the core with faults of the system below its sockets (crates/core/src/faults): first one fault at each
// call of whole conversations, then the whole suite of the core with faults at random that no caller may notice.
//
//   npm run test:faults [-- --seeds 1,2,3] [--suite-only]
//
// A seed and the name of a test determine the faults of that test, so a failure repeats by
// `NETPOLL_FAULTS=SEED cargo test -p netpoll-core --features faults --test FILE NAME`.

import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'

/** Tests whose subject is the exact order or number of calls, so that an extra one changes what they see, each with its reason. */
const excluded = {
  'they take one turn for each event': [
    'a_slot_rests_until_the_batch_that_told_of_its_end_has_been_seen',
    'a_slot_that_no_record_tells_of_is_free_after_the_next_turn',
    'a_socket_is_read_once_more_only_where_something_was_in_the_way',
    'bytes_are_counted_and_told_before_the_end',
    'connections_outlive_their_listener',
    'many_at_once_are_accepted_each_once_within_the_budget',
    'streams_count_what_they_hand_over_too',
    'the_slot_of_a_closed_connection_rests_until_the_next_turn',
    'the_slot_of_a_closed_listener_rests_until_the_next_turn',
  ],
  'they count turns, events or what one turn serves': [
    'a_peer_that_never_stops_does_not_starve_another',
    'a_full_turn_leaves_the_rest_to_the_next_and_says_so',
    'everyone_is_served_in_turn',
    'write_readiness_is_asked_for_only_while_output_is_pending',
    'the_ready_list_outlives_the_readiness_of_the_descriptor',
    'ordinary_traffic_and_large_transfers_ask_for_nothing_anew',
    'nothing_is_read_while_workers_have_no_room_and_everything_is_when_they_do',
    'a_long_message_that_is_not_whole_does_not_end_the_turns_of_others',
    'floods::a_flood_of_handshakes_waits_for_others',
  ],
  'they know how much the system takes or has': [
    'bytes_leave_in_order_whatever_is_queued_and_whatever_the_system_takes',
    'who_does_not_read_replies_is_not_read_from',
    'inbox_is_read_without_a_batch',
    'memory_that_is_taken_away_fails_its_connection_alone',
    'floods::what_a_handshake_keeps_counts_against_the_bound',
  ],
  'a listener that finds no peer takes a shortage for over': [
    'without_descriptors_accepting_pauses_and_goes_on_by_itself',
    'accepting_that_always_fails_is_told_once_and_tried_now_and_then',
  ],
  'a socket that claims to be empty stands for a peer that has sent nothing in time': [
    'a_stall_of_the_process_is_not_the_peers',
    'a_stall_is_nobodys_however_many_have_sent_meanwhile',
  ],
  'the alert of a handshake that fails leaves by one call, or not at all': [
    'certificates::a_server_that_is_not_trusted_is_refused_and_told',
    'certificates::clients_show_certificates_where_they_are_asked',
    'handshakes::no_common_version_fails_both_ways',
  ],
}

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1,2,3' },
    'suite-only': { type: 'boolean', default: false },
  },
})

const cargo = ['test', '--locked', '--package', 'netpoll-core', '--features', 'faults']

/** Whether `cargo` passes with these arguments behind the usual ones, and with this in its environment. */
function passes(args, env) {
  const { status } = spawnSync('cargo', [...cargo, ...args], {
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  return status === 0
}

let failed = 0
if (!values['suite-only'] && !passes(['--test', 'faults'], {})) failed += 1
const skipped = Object.values(excluded)
  .flat()
  .flatMap((name) => ['--skip', name])
// Conversations with plans of their own are over by now, and models touch no system.
const files = readdirSync(join('crates', 'core', 'tests'))
  .map((file) => basename(file, '.rs'))
  .filter((name) => !['support', 'faults', 'loom'].includes(name))
  .flatMap((name) => ['--test', name])
for (const seed of values.seeds.split(',')) {
  process.stdout.write(`\nThe suite of the core with NETPOLL_FAULTS=${seed}\n`)
  const args = ['--no-fail-fast', '--lib', ...files, '--', '--exact', ...skipped]
  if (!passes(args, { NETPOLL_FAULTS: seed })) failed += 1
}
process.exitCode = failed > 0 ? 1 : 0

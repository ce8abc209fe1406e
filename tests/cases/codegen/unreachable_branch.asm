; software:page-faults:1
; program t0_software in section perf_event: 28 instructions
; unreachable_branch.pf:7: @n[pid]++;
   0: 85 00 00 00 0e 00 00 00  call bpf_get_current_pid_tgid#14
   1: 77 00 00 00 20 00 00 00  r0 >>= 32
   2: 63 0a f8 ff 00 00 00 00  *(u32 *)(r10 -8) = r0
   3: b7 06 00 00 00 00 00 00  r6 = 0
   4: 18 01 00 00 00 00 00 00  r1 = map[n]
   5: 00 00 00 00 00 00 00 00
   6: bf a2 00 00 00 00 00 00  r2 = r10
   7: 07 02 00 00 f8 ff ff ff  r2 += -8
   8: 85 00 00 00 01 00 00 00  call bpf_map_lookup_elem#1
   9: 15 00 04 00 00 00 00 00  if r0 == 0x0 goto pc+4
  10: b7 01 00 00 01 00 00 00  r1 = 1
  11: db 10 00 00 00 00 00 00  lock *(u64 *)(r0 +0) += r1
  12: b7 00 00 00 00 00 00 00  r0 = 0
  13: 95 00 00 00 00 00 00 00  exit
  14: 15 06 03 00 00 00 00 00  if r6 == 0x0 goto pc+3
  15: 18 00 00 00 08 00 00 00  r0 = map[.bss]+8
  16: 00 00 00 00 00 00 00 00
  17: 05 00 f8 ff 00 00 00 00  goto pc-8
  18: 18 01 00 00 00 00 00 00  r1 = map[n]
  19: 00 00 00 00 00 00 00 00
  20: bf a2 00 00 00 00 00 00  r2 = r10
  21: 07 02 00 00 f8 ff ff ff  r2 += -8
  22: 18 03 00 00 00 00 00 00  r3 = map[.bss]+0
  23: 00 00 00 00 00 00 00 00
  24: b7 04 00 00 01 00 00 00  r4 = 1
  25: 85 00 00 00 02 00 00 00  call bpf_map_update_elem#2
  26: b7 06 00 00 01 00 00 00  r6 = 1
  27: 05 00 e8 ff 00 00 00 00  goto pc-24

; flush, which sends what the others have staged
; program flush in section raw_tp/pfscript_flush: 40 instructions
; unreachable_branch.pf:1: // args: --verbose_events 0
   0: 79 16 00 00 00 00 00 00  r6 = *(u64 *)(r1 +0)
   1: bf 17 00 00 00 00 00 00  r7 = r1
   2: 62 0a f8 ff 00 00 00 00  *(u32 *)(r10 -8) = 0
   3: 18 01 00 00 00 00 00 00  r1 = map[stage]
   4: 00 00 00 00 00 00 00 00
   5: bf a2 00 00 00 00 00 00  r2 = r10
   6: 07 02 00 00 f8 ff ff ff  r2 += -8
   7: 85 00 00 00 01 00 00 00  call bpf_map_lookup_elem#1
   8: 15 00 17 00 00 00 00 00  if r0 == 0x0 goto pc+23
   9: b7 01 00 00 01 00 00 00  r1 = 1
  10: db 10 00 00 01 00 00 00  r1 = atomic64_fetch_add((u64 *)(r0 +0), r1)
  11: 55 01 16 00 00 00 00 00  if r1 != 0x0 goto pc+22
  12: 79 05 10 00 00 00 00 00  r5 = *(u64 *)(r0 +16)
  13: 15 05 0b 00 00 00 00 00  if r5 == 0x0 goto pc+11
  14: 25 05 0a 00 00 04 00 00  if r5 > 0x400 goto pc+10
  15: bf 04 00 00 00 00 00 00  r4 = r0
  16: 07 04 00 00 18 00 00 00  r4 += 24
  17: bf 08 00 00 00 00 00 00  r8 = r0
  18: 18 02 00 00 00 00 00 00  r2 = map[events]
  19: 00 00 00 00 00 00 00 00
  20: b4 03 00 00 ff ff ff ff  w3 = -1
  21: bf 71 00 00 00 00 00 00  r1 = r7
  22: 85 00 00 00 19 00 00 00  call bpf_perf_event_output#25
  23: 55 00 0d 00 00 00 00 00  if r0 != 0x0 goto pc+13
  24: bf 80 00 00 00 00 00 00  r0 = r8
  25: 7a 00 10 00 00 00 00 00  *(u64 *)(r0 +16) = 0
  26: 7b 60 08 00 00 00 00 00  *(u64 *)(r0 +8) = r6
  27: b7 01 00 00 ff ff ff ff  r1 = -1
  28: db 10 00 00 00 00 00 00  lock *(u64 *)(r0 +0) += r1
  29: 05 00 02 00 00 00 00 00  goto pc+2
  30: b7 00 00 00 01 00 00 00  r0 = 1
  31: 95 00 00 00 00 00 00 00  exit
  32: b7 00 00 00 00 00 00 00  r0 = 0
  33: 95 00 00 00 00 00 00 00  exit
  34: b7 01 00 00 ff ff ff ff  r1 = -1
  35: db 10 00 00 00 00 00 00  lock *(u64 *)(r0 +0) += r1
  36: 05 00 f9 ff 00 00 00 00  goto pc-7
  37: b7 01 00 00 ff ff ff ff  r1 = -1
  38: bf 80 00 00 00 00 00 00  r0 = r8
  39: 05 00 fb ff 00 00 00 00  goto pc-5

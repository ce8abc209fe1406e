; software:page-faults:1
; program t0_software in section perf_event: 52 instructions
; every_power_of_two.pf:4: @n[pid]++;
   0: bf 18 00 00 00 00 00 00  r8 = r1
   1: 85 00 00 00 0e 00 00 00  call bpf_get_current_pid_tgid#14
   2: 77 00 00 00 20 00 00 00  r0 >>= 32
   3: 63 0a e8 ff 00 00 00 00  *(u32 *)(r10 -24) = r0
   4: bf 06 00 00 00 00 00 00  r6 = r0
   5: b7 07 00 00 00 00 00 00  r7 = 0
   6: 18 01 00 00 00 00 00 00  r1 = map[n]
   7: 00 00 00 00 00 00 00 00
   8: bf a2 00 00 00 00 00 00  r2 = r10
   9: 07 02 00 00 e8 ff ff ff  r2 += -24
  10: 85 00 00 00 01 00 00 00  call bpf_map_lookup_elem#1
  11: bf 01 00 00 00 00 00 00  r1 = r0
  12: 15 01 19 00 00 00 00 00  if r1 == 0x0 goto pc+25
  13: b7 00 00 00 01 00 00 00  r0 = 1
  14: db 01 00 00 01 00 00 00  r0 = atomic64_fetch_add((u64 *)(r1 +0), r0)
; every_power_of_two.pf:5: every 64 of @n[pid] { emit(pid, n = @n[pid]); }
  15: 07 00 00 00 01 00 00 00  r0 += 1
  16: 45 00 0e 00 3f 00 00 00  if r0 & 0x3f goto pc+14
  17: 63 6a f4 ff 00 00 00 00  *(u32 *)(r10 -12) = r6
  18: 7b 0a f8 ff 00 00 00 00  *(u64 *)(r10 -8) = r0
  19: 62 0a f0 ff 00 00 00 00  *(u32 *)(r10 -16) = 0
  20: 85 00 00 00 05 00 00 00  call bpf_ktime_get_ns#5
  21: 7b 0a e8 ff 00 00 00 00  *(u64 *)(r10 -24) = r0
  22: 18 02 00 00 00 00 00 00  r2 = map[events]
  23: 00 00 00 00 00 00 00 00
  24: b4 03 00 00 ff ff ff ff  w3 = -1
  25: bf a4 00 00 00 00 00 00  r4 = r10
  26: 07 04 00 00 e8 ff ff ff  r4 += -24
  27: b7 05 00 00 18 00 00 00  r5 = 24
  28: bf 81 00 00 00 00 00 00  r1 = r8
  29: 85 00 00 00 19 00 00 00  call bpf_perf_event_output#25
  30: 55 00 02 00 00 00 00 00  if r0 != 0x0 goto pc+2
; every_power_of_two.pf:4: @n[pid]++;
  31: b7 00 00 00 00 00 00 00  r0 = 0
  32: 95 00 00 00 00 00 00 00  exit
; every_power_of_two.pf:5: every 64 of @n[pid] { emit(pid, n = @n[pid]); }
  33: 18 00 00 00 10 00 00 00  r0 = map[.bss]+16
  34: 00 00 00 00 00 00 00 00
  35: b7 01 00 00 01 00 00 00  r1 = 1
  36: db 10 00 00 00 00 00 00  lock *(u64 *)(r0 +0) += r1
  37: 05 00 f9 ff 00 00 00 00  goto pc-7
; every_power_of_two.pf:4: @n[pid]++;
  38: 15 07 03 00 00 00 00 00  if r7 == 0x0 goto pc+3
  39: 18 00 00 00 08 00 00 00  r0 = map[.bss]+8
  40: 00 00 00 00 00 00 00 00
  41: 05 00 f9 ff 00 00 00 00  goto pc-7
  42: 18 01 00 00 00 00 00 00  r1 = map[n]
  43: 00 00 00 00 00 00 00 00
  44: bf a2 00 00 00 00 00 00  r2 = r10
  45: 07 02 00 00 e8 ff ff ff  r2 += -24
  46: 18 03 00 00 00 00 00 00  r3 = map[.bss]+0
  47: 00 00 00 00 00 00 00 00
  48: b7 04 00 00 01 00 00 00  r4 = 1
  49: 85 00 00 00 02 00 00 00  call bpf_map_update_elem#2
  50: b7 07 00 00 01 00 00 00  r7 = 1
  51: 05 00 d2 ff 00 00 00 00  goto pc-46

; software:page-faults:1
; program t0_software in section perf_event: 56 instructions
; every_parameter.pf:7: @n[pid]++;
   0: bf 18 00 00 00 00 00 00  r8 = r1
   1: 85 00 00 00 0e 00 00 00  call bpf_get_current_pid_tgid#14
   2: 77 00 00 00 20 00 00 00  r0 >>= 32
   3: 63 0a f0 ff 00 00 00 00  *(u32 *)(r10 -16) = r0
   4: bf 06 00 00 00 00 00 00  r6 = r0
   5: b7 07 00 00 00 00 00 00  r7 = 0
   6: 18 01 00 00 00 00 00 00  r1 = map[n]
   7: 00 00 00 00 00 00 00 00
   8: bf a2 00 00 00 00 00 00  r2 = r10
   9: 07 02 00 00 f0 ff ff ff  r2 += -16
  10: 85 00 00 00 01 00 00 00  call bpf_map_lookup_elem#1
  11: bf 01 00 00 00 00 00 00  r1 = r0
  12: 15 01 1d 00 00 00 00 00  if r1 == 0x0 goto pc+29
  13: b7 00 00 00 01 00 00 00  r0 = 1
  14: db 01 00 00 01 00 00 00  r0 = atomic64_fetch_add((u64 *)(r1 +0), r0)
; every_parameter.pf:8: every step of @n[pid] { emit(pid); }
  15: 07 00 00 00 01 00 00 00  r0 += 1
  16: 45 00 12 00 01 00 00 00  if r0 & 0x1 goto pc+18
  17: 18 01 00 00 8b af f8 8a  r1 = 0xaf8af8af8af8af8b
  18: 00 00 00 00 af f8 8a af
  19: 2f 01 00 00 00 00 00 00  r1 *= r0
  20: 77 01 00 00 3a 00 00 00  r1 >>= 58
  21: 55 01 0d 00 00 00 00 00  if r1 != 0x0 goto pc+13
  22: 63 6a fc ff 00 00 00 00  *(u32 *)(r10 -4) = r6
  23: 62 0a f8 ff 00 00 00 00  *(u32 *)(r10 -8) = 0
  24: 85 00 00 00 05 00 00 00  call bpf_ktime_get_ns#5
  25: 7b 0a f0 ff 00 00 00 00  *(u64 *)(r10 -16) = r0
  26: 18 02 00 00 00 00 00 00  r2 = map[events]
  27: 00 00 00 00 00 00 00 00
  28: b4 03 00 00 ff ff ff ff  w3 = -1
  29: bf a4 00 00 00 00 00 00  r4 = r10
  30: 07 04 00 00 f0 ff ff ff  r4 += -16
  31: b7 05 00 00 10 00 00 00  r5 = 16
  32: bf 81 00 00 00 00 00 00  r1 = r8
  33: 85 00 00 00 19 00 00 00  call bpf_perf_event_output#25
  34: 55 00 02 00 00 00 00 00  if r0 != 0x0 goto pc+2
; every_parameter.pf:7: @n[pid]++;
  35: b7 00 00 00 00 00 00 00  r0 = 0
  36: 95 00 00 00 00 00 00 00  exit
; every_parameter.pf:8: every step of @n[pid] { emit(pid); }
  37: 18 00 00 00 10 00 00 00  r0 = map[.bss]+16
  38: 00 00 00 00 00 00 00 00
  39: b7 01 00 00 01 00 00 00  r1 = 1
  40: db 10 00 00 00 00 00 00  lock *(u64 *)(r0 +0) += r1
  41: 05 00 f9 ff 00 00 00 00  goto pc-7
; every_parameter.pf:7: @n[pid]++;
  42: 15 07 03 00 00 00 00 00  if r7 == 0x0 goto pc+3
  43: 18 00 00 00 08 00 00 00  r0 = map[.bss]+8
  44: 00 00 00 00 00 00 00 00
  45: 05 00 f9 ff 00 00 00 00  goto pc-7
  46: 18 01 00 00 00 00 00 00  r1 = map[n]
  47: 00 00 00 00 00 00 00 00
  48: bf a2 00 00 00 00 00 00  r2 = r10
  49: 07 02 00 00 f0 ff ff ff  r2 += -16
  50: 18 03 00 00 00 00 00 00  r3 = map[.bss]+0
  51: 00 00 00 00 00 00 00 00
  52: b7 04 00 00 01 00 00 00  r4 = 1
  53: 85 00 00 00 02 00 00 00  call bpf_map_update_elem#2
  54: b7 07 00 00 01 00 00 00  r7 = 1
  55: 05 00 ce ff 00 00 00 00  goto pc-50

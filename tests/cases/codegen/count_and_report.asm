; software:page-faults:1
; program t0_software in section perf_event: 60 instructions
; count_and_report.pf:6: @faults[pid]++;
   0: bf 18 00 00 00 00 00 00  r8 = r1
   1: 85 00 00 00 0e 00 00 00  call bpf_get_current_pid_tgid#14
   2: 77 00 00 00 20 00 00 00  r0 >>= 32
   3: 63 0a d8 ff 00 00 00 00  *(u32 *)(r10 -40) = r0
   4: bf 07 00 00 00 00 00 00  r7 = r0
   5: b7 06 00 00 00 00 00 00  r6 = 0
   6: 18 01 00 00 00 00 00 00  r1 = map[faults]
   7: 00 00 00 00 00 00 00 00
   8: bf a2 00 00 00 00 00 00  r2 = r10
   9: 07 02 00 00 d8 ff ff ff  r2 += -40
  10: 85 00 00 00 01 00 00 00  call bpf_map_lookup_elem#1
  11: 15 00 22 00 00 00 00 00  if r0 == 0x0 goto pc+34
  12: b7 06 00 00 01 00 00 00  r6 = 1
  13: db 60 00 00 01 00 00 00  r6 = atomic64_fetch_add((u64 *)(r0 +0), r6)
; count_and_report.pf:7: every log_step of @faults[pid] {
  14: 07 06 00 00 01 00 00 00  r6 += 1
  15: 45 06 17 00 01 00 00 00  if r6 & 0x1 goto pc+23
  16: 18 00 00 00 29 5c 8f c2  r0 = 0x8f5c28f5c28f5c29
  17: 00 00 00 00 f5 28 5c 8f
  18: 2f 60 00 00 00 00 00 00  r0 *= r6
  19: 77 00 00 00 3b 00 00 00  r0 >>= 59
  20: 55 00 12 00 00 00 00 00  if r0 != 0x0 goto pc+18
; count_and_report.pf:8: emit(time, pid, comm, nb_page_fault = @faults[pid]);
  21: bf a1 00 00 00 00 00 00  r1 = r10
  22: 07 01 00 00 e8 ff ff ff  r1 += -24
  23: b7 02 00 00 10 00 00 00  r2 = 16
  24: 85 00 00 00 10 00 00 00  call bpf_get_current_comm#16
  25: 63 7a e4 ff 00 00 00 00  *(u32 *)(r10 -28) = r7
  26: 7b 6a f8 ff 00 00 00 00  *(u64 *)(r10 -8) = r6
  27: 62 0a e0 ff 00 00 00 00  *(u32 *)(r10 -32) = 0
  28: 85 00 00 00 05 00 00 00  call bpf_ktime_get_ns#5
  29: 7b 0a d8 ff 00 00 00 00  *(u64 *)(r10 -40) = r0
  30: 18 02 00 00 00 00 00 00  r2 = map[events]
  31: 00 00 00 00 00 00 00 00
  32: b4 03 00 00 ff ff ff ff  w3 = -1
  33: bf a4 00 00 00 00 00 00  r4 = r10
  34: 07 04 00 00 d8 ff ff ff  r4 += -40
  35: b7 05 00 00 28 00 00 00  r5 = 40
  36: bf 81 00 00 00 00 00 00  r1 = r8
  37: 85 00 00 00 19 00 00 00  call bpf_perf_event_output#25
  38: 55 00 02 00 00 00 00 00  if r0 != 0x0 goto pc+2
; count_and_report.pf:6: @faults[pid]++;
  39: b7 00 00 00 00 00 00 00  r0 = 0
  40: 95 00 00 00 00 00 00 00  exit
; count_and_report.pf:8: emit(time, pid, comm, nb_page_fault = @faults[pid]);
  41: 18 00 00 00 10 00 00 00  r0 = map[.bss]+16
  42: 00 00 00 00 00 00 00 00
  43: b7 01 00 00 01 00 00 00  r1 = 1
  44: db 10 00 00 00 00 00 00  lock *(u64 *)(r0 +0) += r1
  45: 05 00 f9 ff 00 00 00 00  goto pc-7
; count_and_report.pf:6: @faults[pid]++;
  46: 15 06 03 00 00 00 00 00  if r6 == 0x0 goto pc+3
  47: 18 00 00 00 08 00 00 00  r0 = map[.bss]+8
  48: 00 00 00 00 00 00 00 00
  49: 05 00 f9 ff 00 00 00 00  goto pc-7
  50: 18 01 00 00 00 00 00 00  r1 = map[faults]
  51: 00 00 00 00 00 00 00 00
  52: bf a2 00 00 00 00 00 00  r2 = r10
  53: 07 02 00 00 d8 ff ff ff  r2 += -40
  54: 18 03 00 00 00 00 00 00  r3 = map[.bss]+0
  55: 00 00 00 00 00 00 00 00
  56: b7 04 00 00 01 00 00 00  r4 = 1
  57: 85 00 00 00 02 00 00 00  call bpf_map_update_elem#2
  58: b7 06 00 00 01 00 00 00  r6 = 1
  59: 05 00 ca ff 00 00 00 00  goto pc-54

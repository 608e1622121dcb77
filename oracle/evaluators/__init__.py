"""What turns an output into a score: workload files, evaluators, calibration, quantisation."""

"""What every question uses: worlds, schedule, samples, statistics, report."""

"""`python -m goemo_report` is `goemo-report`."""

from goemo_report.cli import main

if __name__ == "__main__":
    main()

from trueup_shared.cli import main

main()

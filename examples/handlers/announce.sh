#!/bin/sh
# Runs once for each event, which comes on standard input. Exit code 75 asks to be tried again.
customer=$(sed 's/.*"customer":"\([^"]*\)".*/\1/')
echo "$THALWEG_EFFECT_ID $1 from $customer" >> announcements.txt || exit 75

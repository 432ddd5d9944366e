"""What people and jobs do to the rules: change, look ahead, fit again."""

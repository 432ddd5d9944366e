"""What no message outside the inbox may say, in each language."""

# What must never stand in a message outside the inbox (matched without regard to case).
HEALTH_WORDS = (
    "craving", "mood", "anxiety", "ketamine", "infusion", "alcohol", "cocaine", "opioid", "heroin", "relapse", "use",
    "safety", "suicid", "worse", "client", "patient", "therapy", "treatment", "score", "tier", "urgent", "silence",
)  # fmt: skip
WORDS = {
    "en": HEALTH_WORDS,
    "es": (
        "ansia", "ánimo", "ketamina", "infusi", "alcohol", "cocaína", "opioid", "heroína", "recaída", "consumo",
        "seguridad", "suicid", "peor", "cliente", "paciente", "terapia", "tratamiento", "puntuaci", "urgente",
    ),
}  # fmt: skip

if __name__ == "sim":
    raise ImportError("import weft.sim, not sim")
